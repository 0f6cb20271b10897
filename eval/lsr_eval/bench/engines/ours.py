"""This package's index, through its public functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.records import DocumentBatch
from lsr.sparse import SparseBatch
from lsr_eval.bench.engines.base import Engine, Params
from lsr_index import build_index, open_index
from lsr_index.search.options import SearchOptions

BATCH_DOCS = 4096


class BlockMaxIndex(Engine):
    """One `index.Index`."""

    def build(self, docs: Any, folder: Path, params: Params) -> None:
        """Build into a folder below, as an index does not take an existing one.

        `docs` is a matrix, or an iterable of batches with ``n_terms``.
        """
        n_terms = docs.shape[1] if hasattr(docs, "shape") else docs.n_terms
        build_index(folder / "index", _Stream(docs), n_terms=n_terms, **params).close()

    def open(self, folder: Path) -> None:
        self._index = open_index(folder / "index")

    def prepare(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], k: int, params: Params
    ) -> tuple[SparseBatch, int, SearchOptions]:
        indptr = np.array([0, len(terms)], np.int64)
        return SparseBatch(indptr, terms.astype(np.uint32), weights), k, SearchOptions(**params)

    def search(self, query: tuple[SparseBatch, int, SearchOptions]) -> Any:
        vector, k, options = query
        return self._index.search(vector, k, options=options)

    def ordinals(self, result: Any) -> NDArray[np.int64]:
        return np.asarray(result.ordinals, np.int64)

    def gather(self, queries: Sequence[Any]) -> tuple[SparseBatch, int, SearchOptions]:
        _, k, options = queries[0]
        return SparseBatch.concatenate([query[0] for query in queries]), k, options

    def search_all(self, batch: tuple[SparseBatch, int, SearchOptions], threads: int) -> None:
        """Pass all queries at once; the index distributes them over threads."""
        vectors, k, options = batch
        self._index.search_batch(vectors, k, threads=threads, options=options)


@dataclass
class _Stream:
    """Vectors as batches of documents without text, any number of times."""

    docs: Any

    def __iter__(self) -> Iterator[DocumentBatch]:
        first = 0
        for vectors in _parts(self.docs) if hasattr(self.docs, "shape") else self.docs:
            n = vectors.n_rows
            ids = [str(number) for number in range(first, first + n)]
            yield DocumentBatch(ids, vectors, [""] * n, [""] * n, [{}] * n)
            first += n


def _parts(docs: Any) -> Iterator[SparseBatch]:
    for start in range(0, docs.shape[0], BATCH_DOCS):
        yield SparseBatch.from_scipy(docs[start : start + BATCH_DOCS])
