"""`SparseBranch`: where text meets postings, for BM25 and learned sparse vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import Fingerprint, QueryEncoder
from lsr.errors import EncoderMismatchError, UsageError
from lsr.sparse import SparseBatch
from lsr_index.hybrid.branch import BranchOptions
from lsr_index.hybrid.feedback import Feedback, expand_sparse
from lsr_index.hybrid.query import QueryParts
from lsr_index.hybrid.results import Kind, TermContribution
from lsr_index.search.hits import Hits
from lsr_index.search.index import Index
from lsr_index.search.query import single_vector
from lsr_index.segment.encoder_store import differences


class SparseBranch:
    """The sparse vectors of an index, and the encoder of their queries.

    Without an encoder it is searched by vector only.
    """

    kind: Kind = "sparse"
    least_score: float | None = 0.0

    def __init__(
        self, index: Index, encoder: QueryEncoder | None = None, name: str = "sparse"
    ) -> None:
        self.name = name
        self.index = index
        self.encoder = encoder
        self.usual_ms: dict[str, float] = {}

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Fingerprint of the encoder that made the vectors."""
        return self.index.fingerprint

    def encode(self, query: QueryParts) -> tuple[SparseBatch, list[str]]:
        """Return the vector of a query, and the terms that are not in the vocabulary."""
        sparse = query.sparse
        if isinstance(sparse, SparseBatch):
            return sparse, []
        if sparse is not None:
            return self._encode_terms(sparse)
        if query.text is None:
            raise UsageError(
                f"branch {self.name!r} needs the text of the query, or weights of terms"
            )
        return self.encode_texts([query.text]), []

    def encode_texts(self, texts: Sequence[str]) -> SparseBatch:
        """Return the vectors of texts, or raise UsageError without an encoder."""
        if self.encoder is None:
            raise UsageError(
                "this index was made of vectors and knows no encoder for text; "
                "search it by vector, or name the encoder that made the vectors"
            )
        return self.encoder.encode_queries(texts)

    def encode_many(self, queries: Sequence[QueryParts]) -> SparseBatch:
        """Return the vectors of many queries, one a row."""
        texts = [query.text for query in queries if query.sparse is None and query.text is not None]
        if len(texts) == len(queries):
            return self.encode_texts(texts)
        return SparseBatch.concatenate([single_vector(self.encode(query)[0]) for query in queries])

    def _encode_terms(
        self, weights: Mapping[str, float] | Mapping[int, float]
    ) -> tuple[SparseBatch, list[str]]:
        """Return the vector of weights by term, or by term id."""
        names = [term for term in weights if isinstance(term, str)]
        if not names:
            return SparseBatch.from_rows([cast("Mapping[int, float]", weights)]), []
        if len(names) < len(weights):
            raise UsageError("a query names its terms or gives their ids, not some of both")
        if self.encoder is None:
            raise UsageError(
                "this index has no vocabulary of terms; search it by term ids (indices and values)"
            )
        by_name = cast("Mapping[str, float]", weights)
        ids = {term: self.encoder.term_id(term) for term in by_name}
        known = {i: by_name[term] for term, i in ids.items() if i is not None}
        return SparseBatch.from_rows([known]), [term for term, i in ids.items() if i is None]

    def load(self) -> None:
        """Do nothing: the query encoder was restored with the index."""

    def search(self, vector: SparseBatch, k: int, options: BranchOptions) -> Hits:
        """Return the `k` best documents."""
        return self.index.search(
            vector, k, filter=options.filter, cancel=options.cancel, options=options.sparse
        )

    def search_batch(
        self, vectors: SparseBatch, k: int, options: BranchOptions, *, threads: int
    ) -> list[Hits]:
        """Return the `k` best documents for each row of `vectors`."""
        return self.index.search_batch(
            vectors,
            k,
            threads=threads,
            filter=options.filter,
            cancel=options.cancel,
            options=options.sparse,
        )

    def scores(self, vector: SparseBatch, ordinals: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of documents."""
        return self.index.scores(vector, ordinals)

    def explain(self, vector: SparseBatch, ordinal: int) -> list[TermContribution]:
        """Return the contributions of matched terms to a document's score, largest first."""
        contributions = [
            TermContribution(self._term(term_id), contribution)
            for term_id, contribution in self.index.explain(vector, ordinal)
        ]
        return sorted(contributions, key=lambda c: (-c.contribution, c.term))

    def expand(
        self, vector: SparseBatch, ordinals: NDArray[np.int64], feedback: Feedback
    ) -> SparseBatch:
        """Return the vector moved towards documents."""
        return expand_sparse(self.index, vector, ordinals, feedback)

    def _term(self, term_id: int) -> str:
        return str(term_id) if self.encoder is None else self.encoder.term(term_id)


def require_encoder(index: Index, encoder: QueryEncoder) -> None:
    """Raise EncoderMismatchError unless an encoder makes vectors like those of the index."""
    stored = index.fingerprint
    if stored is None or stored.digest == encoder.fingerprint.digest:
        return
    raise EncoderMismatchError(
        f"{index.path}: the index was made by another encoder "
        f"({differences(stored, encoder.fingerprint)}); "
        "scores would mean nothing. Leave out the encoder to use the stored one, "
        "or index the corpus again with this one"
    )
