"""Workload of a benchmark: documents, queries, and how they are limited and ordered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lsr.errors import UsageError
from lsr_eval.bench.vectors import load_vectors, widened
from lsr_eval.synthetic import SyntheticCollection, fit

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Workload:
    """Documents and queries by path, so that every process can load its own.

    Attributes
    ----------
    docs, queries : str
        Files for `lsr_eval.bench.vectors.load_vectors`.
    docs_limit, queries_limit : int or None
        Use the first documents, or queries drawn evenly over the file.
    shuffle : int or None
        Seed of a random order of the documents. Without it they stay in the order of the file.
    synthetic : int or None
        So many synthetic documents instead, fitted to those of the file.
    seed : int
        Of the synthetic documents.
    """

    docs: str
    queries: str
    docs_limit: int | None = None
    queries_limit: int | None = None
    shuffle: int | None = None
    synthetic: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.synthetic is not None and (self.shuffle, self.docs_limit) != (None, None):
            raise UsageError(
                "synthetic documents can be neither shuffled nor limited: they follow the order of "
                "the real ones, and their number is given"
            )

    def load_docs(self) -> csr_array[Any, tuple[int, int]]:
        """Read or make the documents, as (n_docs, n_terms) CSR of float32."""
        if self.synthetic is not None:
            return self.stream_docs().to_scipy()
        docs = load_vectors(self.docs)
        if self.docs_limit is not None:
            docs = docs[: self.docs_limit]
        if self.shuffle is not None:
            docs = docs[np.random.default_rng(self.shuffle).permutation(docs.shape[0])]
        return docs

    def stream_docs(self) -> SyntheticCollection:
        """Return synthetic documents as an iterable of batches that does not hold them."""
        if self.synthetic is None:
            raise UsageError("only synthetic documents can be streamed")
        return SyntheticCollection(fit(load_vectors(self.docs)), self.synthetic, self.seed)

    def load_queries(self, n_terms: int) -> csr_array[Any, tuple[int, int]]:
        """Read the queries, as (n_queries, n_terms) CSR of float32.

        Terms beyond the vocabulary of the documents cannot match and are left out.
        """
        queries = load_vectors(self.queries)
        if self.queries_limit is not None and self.queries_limit < queries.shape[0]:
            chosen = np.linspace(0, queries.shape[0] - 1, self.queries_limit).astype(np.int64)
            queries = queries[chosen]
        if queries.shape[1] > n_terms:
            return queries[:, :n_terms].tocsr()
        return widened(queries, n_terms)
