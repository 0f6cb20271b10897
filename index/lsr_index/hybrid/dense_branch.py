"""`DenseBranch`: the dense vectors of an index, and the encoder of their queries."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import Fingerprint
from lsr.encoders.dense import DenseEncoder
from lsr.errors import UsageError
from lsr_index.dense.codes import check_query
from lsr_index.hybrid.branch import BranchOptions
from lsr_index.hybrid.feedback import Feedback, expand_dense
from lsr_index.hybrid.query import QueryParts
from lsr_index.hybrid.results import Kind
from lsr_index.kernels.fork import freed_after_fork
from lsr_index.search.cluster_selection import Selection, search_selectively
from lsr_index.search.dense_index import DenseIndex
from lsr_index.search.hits import Hits
from lsr_index.search.index import Index


class DenseBranch:
    """The dense vectors of an index, and the encoder of their queries.

    Without `encoder`, the stored one is loaded with the first text. UsageError: the index has no
    dense vectors; EncoderMismatchError: they come from another encoder.
    """

    kind: Kind = "dense"

    def __init__(
        self, index: Index, encoder: DenseEncoder | None = None, name: str = "dense"
    ) -> None:
        self.name = name
        self.index = index
        self.dense = index.require_dense()
        if encoder is not None:
            self.dense.require_encoder(encoder)
        self._encoder = encoder
        self.usual_ms: dict[str, float] = {}

    @property
    def least_score(self) -> float | None:
        """-1 for the cosine; None for an inner product."""
        return -1.0 if self.dense.similarity == "cosine" else None

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Fingerprint of the encoder."""
        return self.dense.fingerprint

    def encode(self, query: QueryParts) -> tuple[NDArray[np.float32], list[str]]:
        """Return the vector of a query; zeros for a text without a known word."""
        if query.dense is not None:
            vector = np.asarray(query.dense)
            check_query(vector, self.dense.similarity, self.dense.dimension)
            return vector.reshape(-1).astype(np.float32), []
        if query.text is None:
            raise UsageError(f"branch {self.name!r} needs the text of the query, or its vector")
        self.load()
        assert self._encoder is not None
        return self._encoder.encode_queries([query.text])[0], []

    def load(self) -> None:
        """Load the stored encoder, unless there is an encoder."""
        if self._encoder is None:
            self._encoder = _restored(self.dense)

    def search(self, vector: NDArray[np.float32], k: int, options: BranchOptions) -> Hits:
        """Return the `k` best documents; none for a vector of zeros."""
        if self._is_nothing(vector):
            return self._no_hits()
        return self.dense.search(
            vector, k, filter=options.filter, probes=options.probes, exact=options.exact
        )

    def selective(self, options: BranchOptions) -> bool:
        """Return whether sparse hits may select clusters: neither `probes` nor `exact` is set."""
        return options.probes is None and not (options.exact or self.dense.exact)

    def search_selectively(
        self,
        vector: NDArray[np.float32],
        k: int,
        guides: NDArray[np.int64],
        selection: Selection,
        options: BranchOptions,
    ) -> Hits:
        """Return the `k` best documents of the clusters that sparse hits select.

        `guides`, (n,) int64, are hits of a sparse search of the same index with the same filter.
        """
        if self._is_nothing(vector):
            return self._no_hits()
        return search_selectively(self.dense, vector, k, guides, selection, filter=options.filter)

    def _is_nothing(self, vector: NDArray[np.float32]) -> bool:
        return not vector.any() and vector.shape == (self.dense.dimension,)

    def _no_hits(self) -> Hits:
        nothing = np.zeros(0, np.int64)
        return Hits(nothing, np.zeros(0), nothing, True, 0.0, self.index)

    def scores(
        self, vector: NDArray[np.float32], ordinals: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the scores of documents; NaN without a vector."""
        if not vector.any():
            return np.full(len(ordinals), np.nan)
        return self.dense.scores(vector, ordinals)

    def expand(
        self, vector: NDArray[np.float32], ordinals: NDArray[np.int64], feedback: Feedback
    ) -> NDArray[np.float32]:
        """Return the vector moved towards documents."""
        return expand_dense(self.dense, vector, ordinals, feedback)


_encoders: dict[str, DenseEncoder] = {}
_loading = freed_after_fork(threading.Lock())


def _restored(dense: DenseIndex) -> DenseEncoder:
    """Load the stored encoder once per process, and check that it fits the index.

    Generations and indexes share encoders by the fingerprint of the restored encoder.
    """
    stored = dense.encoder_assets
    digest = None if stored is None else str(stored.config.get("digest"))
    with _loading:
        encoder = None if digest is None else _encoders.get(digest)
        if encoder is None:
            encoder = dense.restore_encoder()
            _encoders[encoder.fingerprint.digest] = encoder
    dense.require_encoder(encoder)
    return encoder
