"""Branches: the ways in which one index, or several of the same documents, can be searched.

A branch turns a query into its own kind of vector, finds documents with it and scores given ones.
`HybridRetriever` runs several and fuses what they find.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import Fingerprint
from lsr.encoders.dense import DenseEncoder
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr_index.dense.codes import check_query
from lsr_index.fusion import BranchIdentity
from lsr_index.hybrid.feedback import Feedback, expand_dense, expand_sparse
from lsr_index.hybrid.text_index import QueryInput, Retriever, TermContribution
from lsr_index.kernels.fork import freed_after_fork
from lsr_index.search.cluster_selection import Selection, search_selectively
from lsr_index.search.dense_index import DenseIndex
from lsr_index.search.execute import Cancel
from lsr_index.search.hits import Hits
from lsr_index.search.index import Index
from lsr_index.search.scoring import score_documents

Kind = Literal["sparse", "dense"]


@dataclass(frozen=True, slots=True)
class HybridQuery:
    """A query as its branches take it up; what is not given is encoded from the text.

    Attributes
    ----------
    text : str or None
    sparse : mapping of term to weight, or SparseBatch, or None
    dense : (dimension,) floats or None
    """

    text: str | None = None
    sparse: QueryInput | None = None
    dense: NDArray[np.floating] | None = None


class Branch(Protocol):
    """One way to search."""

    name: str
    index: Index
    usual_ms: dict[str, float]
    """How long its steps took lately, by name; kept by whoever runs it."""

    @property
    def kind(self) -> Kind:
        """What its vectors are."""

    @property
    def least_score(self) -> float | None:
        """The least score there can be; None where there is no such bound."""

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Identity of the encoder."""

    def encode(self, query: HybridQuery) -> tuple[Any, list[str]]:
        """Return the vector of a query, and the terms that are not in the vocabulary."""

    def load(self) -> None:
        """Load what encoding a text needs, so that the first query does not wait for it."""

    def search(self, vector: Any, k: int, *, filter: Any, cancel: Cancel | None) -> Hits:
        """Return the `k` best documents."""

    def scores(self, vector: Any, ordinals: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of documents; NaN where there is none."""

    def expand(self, vector: Any, ordinals: NDArray[np.int64], feedback: Feedback) -> Any:
        """Return the vector moved towards documents."""


class SparseBranch:
    """Sparse vectors: BM25 or learned.

    Parameters
    ----------
    retriever : Retriever
    name : str
    modes
        Of `Index.search`: the approximate ones.
    """

    kind: Kind = "sparse"
    least_score: float | None = 0.0

    def __init__(self, retriever: Retriever, name: str = "sparse", **modes: Any) -> None:
        self.name = name
        self.index = retriever.index
        self._retriever = retriever
        self._modes = modes
        self.usual_ms: dict[str, float] = {}

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Identity of the encoder."""
        return self.index.fingerprint

    def encode(self, query: HybridQuery) -> tuple[SparseBatch, list[str]]:
        """Return the vector of a query, and the terms that are not in the vocabulary."""
        given = query.text if query.sparse is None else query.sparse
        if given is None:
            raise UsageError(
                f"branch {self.name!r} needs the text of the query, or weights of terms"
            )
        return self._retriever.encode(given)

    def load(self) -> None:
        """Do nothing: the query encoder was restored with the index."""

    def search(self, vector: SparseBatch, k: int, *, filter: Any, cancel: Cancel | None) -> Hits:
        """Return the `k` best documents."""
        return self.index.search(vector, k, filter=filter, cancel=cancel, **self._modes)

    def scores(self, vector: SparseBatch, ordinals: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of documents."""
        return score_documents(self.index, vector, ordinals)

    def explain(self, vector: SparseBatch, ordinal: int) -> list[TermContribution]:
        """Return what each matched term contributes to the score of a document."""
        return self._retriever.explain(vector, ordinal)

    def expand(
        self, vector: SparseBatch, ordinals: NDArray[np.int64], feedback: Feedback
    ) -> SparseBatch:
        """Return the vector moved towards documents."""
        return expand_sparse(self.index, vector, ordinals, feedback)


class DenseBranch:
    """Dense vectors.

    Parameters
    ----------
    index : Index
        With dense vectors.
    encoder : DenseEncoder, optional
        Instead of the one that the index stores, which is loaded with the first text.
    name : str
    modes
        Of `DenseIndex.search`: ``probes``, ``exact``.

    Raises
    ------
    UsageError
        The index has no dense vectors.
    EncoderMismatchError
        `encoder` makes other vectors than those of the index.
    """

    kind: Kind = "dense"

    def __init__(
        self,
        index: Index,
        encoder: DenseEncoder | None = None,
        name: str = "dense",
        **modes: Any,
    ) -> None:
        self.name = name
        self.index = index
        self.dense = index.dense_or_refuse()
        if encoder is not None:
            self.dense.refuse_another(encoder)
        self._encoder = encoder
        self._modes = modes
        self.usual_ms: dict[str, float] = {}

    @property
    def least_score(self) -> float | None:
        """-1 for the cosine; an inner product has no bound."""
        return -1.0 if self.dense.similarity == "cosine" else None

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Identity of the encoder."""
        return self.dense.fingerprint

    def encode(self, query: HybridQuery) -> tuple[NDArray[np.float32], list[str]]:
        """Return the vector of a query; of zeros when nothing in its text is known."""
        if query.dense is not None:
            given = np.asarray(query.dense)
            check_query(given, self.dense.similarity, self.dense.dimension)
            return given.reshape(-1).astype(np.float32), []
        if query.text is None:
            raise UsageError(f"branch {self.name!r} needs the text of the query, or its vector")
        self.load()
        assert self._encoder is not None
        return self._encoder.encode_queries([query.text])[0], []

    def load(self) -> None:
        """Load the stored encoder, unless another was given."""
        if self._encoder is None:
            self._encoder = _restored(self.dense)

    def search(
        self, vector: NDArray[np.float32], k: int, *, filter: Any, cancel: Cancel | None
    ) -> Hits:
        """Return the `k` best documents; none for a text without a word, which has no vector."""
        if self._is_nothing(vector):
            return self._no_hits()
        return self.dense.search(vector, k, filter=filter, **self._modes)

    @property
    def selective(self) -> bool:
        """Whether there are clusters for sparse results to choose from, and nobody else chose."""
        return not (self._modes or self.dense.exact)

    def search_selectively(
        self,
        vector: NDArray[np.float32],
        k: int,
        guides: NDArray[np.int64],
        selection: Selection,
        *,
        filter: Any,
    ) -> Hits:
        """Return the `k` best documents of the clusters that sparse results point at.

        Parameters
        ----------
        guides : (n,) int64
            Documents that a sparse search of the same index with the same filter found.
        """
        if self._is_nothing(vector):
            return self._no_hits()
        return search_selectively(self.dense, vector, k, guides, selection, filter=filter)

    def _is_nothing(self, vector: NDArray[np.float32]) -> bool:
        return not vector.any() and vector.shape == (self.dense.dimension,)

    def _no_hits(self) -> Hits:
        nothing = np.zeros(0, np.int64)
        return Hits(
            nothing, np.zeros(0), nothing, True, 0.0, self.index.generation, index=self.index
        )

    def scores(
        self, vector: NDArray[np.float32], ordinals: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the scores of documents; NaN for one that has no vector."""
        if not vector.any():
            return np.full(len(ordinals), np.nan)
        return self.dense.scores(vector, ordinals)

    def expand(
        self, vector: NDArray[np.float32], ordinals: NDArray[np.int64], feedback: Feedback
    ) -> NDArray[np.float32]:
        """Return the vector moved towards documents."""
        return expand_dense(self.dense, vector, ordinals, feedback)


def identities(branches: Sequence[Branch]) -> list[BranchIdentity]:
    """Return the names, kinds and encoders of branches, as an artefact keeps them."""
    return [
        BranchIdentity(
            branch.name,
            branch.kind,
            None if branch.fingerprint is None else branch.fingerprint.digest,
        )
        for branch in branches
    ]


_encoders: dict[str, DenseEncoder] = {}
_loading = freed_after_fork(threading.Lock())


def _restored(dense: DenseIndex) -> DenseEncoder:
    """Load the stored model; once per process, whatever generations and indexes come to use it.

    Encoders are shared by the digest that restoring them has proved, and each index compares the
    one it gets with what it says of its own vectors.
    """
    stored = dense.encoder_assets
    digest = None if stored is None else str(stored.config.get("digest"))
    with _loading:
        encoder = None if digest is None else _encoders.get(digest)
        if encoder is None:
            encoder = dense.restore_encoder()
            _encoders[encoder.fingerprint.digest] = encoder
    dense.refuse_another(encoder)
    return encoder
