"""Sparsity of vectors, and FLOPS of a query.

FLOPS is the expected number of multiply-adds of a random query with a random document,
``sum_j p_j^q p_j^d``, where ``p_j`` is the share of vectors with a weight for term `j` (Paria et
al., ICLR 2020; the definition of the SPLADE papers' evaluation). Multiplied by the number of
documents it is the number of postings an exhaustive scan reads for an average query.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsr.sparse import SparseBatch

if TYPE_CHECKING:
    from lsr_index.search.index import Index


class VectorCounter:
    """Counter of the vectors that hold each term, batch by batch: O(vocabulary) memory."""

    def __init__(self) -> None:
        self.n_vectors = 0
        self._counts = np.zeros(0, np.int64)

    def add(self, batch: SparseBatch) -> None:
        """Count the vectors of a batch."""
        low, high = batch.indptr[0], batch.indptr[-1]
        self.add_counts(np.bincount(batch.indices[low:high].astype(np.int64)), batch.n_rows)

    def add_counts(self, counts: ArrayLike, n_vectors: int) -> None:
        """Add posting counts by term id of `n_vectors` vectors."""
        new = np.asarray(counts, dtype=np.int64)
        if len(new) > len(self._counts):
            self._counts = np.concatenate(
                [self._counts, np.zeros(len(new) - len(self._counts), np.int64)]
            )
        self._counts[: len(new)] += new
        self.n_vectors += n_vectors

    @property
    def counts(self) -> NDArray[np.int64]:
        """(n_terms,) int64: vectors that hold the term; as long as the largest term id needs."""
        return self._counts

    @property
    def nnz(self) -> int:
        """Number of weights of all vectors."""
        return int(self._counts.sum())

    @property
    def mean_nnz(self) -> float:
        """Mean number of weights of a vector; 0 without vectors."""
        return self.nnz / self.n_vectors if self.n_vectors else 0.0

    def shares(self) -> NDArray[np.float64]:
        """Return ``p_j``, (n_terms,) float64."""
        return self._counts / max(self.n_vectors, 1)


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Vectors counted, their mean numbers of weights, and FLOPS (see the module)."""

    n_docs: int
    n_queries: int
    document_nnz: float
    query_nnz: float
    flops: float


def count_documents(index: Index) -> VectorCounter:
    """Count the stored vectors of the documents a search can return.

    Weights that quantisation rounded to 0 are not stored and not counted. Counts are the stored
    document frequencies; vectors are read only in segments with deleted documents.
    """
    counter = VectorCounter()
    for segment in index.segments:
        if segment.live is not None:
            for chunk in segment.chunks():
                indptr, term_ids = chunk.vectors.indptr, chunk.vectors.term_ids
                counter.add_counts(np.bincount(term_ids.astype(np.int64)), len(indptr) - 1)
            continue
        terms = segment.arrays.terms
        counts = np.zeros(int(terms.max(initial=0)) + 1, np.int64)
        counts[terms] = segment.arrays.counts
        counter.add_counts(counts, segment.n_docs)
    return counter


def measure_sparsity(documents: VectorCounter, queries: VectorCounter) -> Sparsity:
    """Combine the counts of documents and queries."""
    shorter = min(len(documents.counts), len(queries.counts))
    flops = float(documents.shares()[:shorter] @ queries.shares()[:shorter])
    return Sparsity(
        documents.n_vectors, queries.n_vectors, documents.mean_nnz, queries.mean_nnz, flops
    )
