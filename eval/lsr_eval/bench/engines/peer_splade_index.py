"""splade-index: an exhaustive scan in Numba over float32 postings.

Its `retrieve` first encodes the query's text with a model. The benchmark has vectors and calls the
function to which `retrieve` passes the encoded queries.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_eval.bench.engines.base import Engine, Params

ARRAYS = ("data", "indices", "indptr")


class SpladeIndexScan(Engine):
    """The arrays that `splade_index.SPLADE.index` makes, searched by its Numba back end."""

    def build(self, docs: Any, folder: Path, params: Params) -> None:
        """Convert to columns and store, as its `index` and `save` do after encoding."""
        by_term = docs.tocsc()
        for name, dtype in zip(ARRAYS, (np.float32, np.int32, np.int32), strict=True):
            np.save(folder / f"{name}.npy", getattr(by_term, name).astype(dtype))
        np.save(folder / "num_docs.npy", np.array(docs.shape[0]))

    def open(self, folder: Path) -> None:
        """Read the arrays; the first query compiles."""
        from splade_index.numba.retrieve_utils import _retrieve_numba_functional

        logging.getLogger("splade_index").setLevel(logging.WARNING)
        self._retrieve = _retrieve_numba_functional
        self._scores: dict[str, Any] = {name: np.load(folder / f"{name}.npy") for name in ARRAYS}
        self._scores["num_docs"] = int(np.load(folder / "num_docs.npy"))

    def prepare(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], k: int, params: Params
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], int]:
        """Return the arrays, with k cut to the number of documents: the engine raises above it."""
        return terms, weights, min(k, self._scores["num_docs"])

    def search(self, query: tuple[NDArray[np.int32], NDArray[np.float32], int]) -> Any:
        terms, weights, k = query
        return self._retrieve([terms], [weights], self._scores, k, show_progress=False, n_threads=1)

    def ordinals(self, result: Any) -> NDArray[np.int64]:
        """Return the documents found, without those of score zero that fill the list."""
        ids, scores = result
        return np.asarray(ids[0][scores[0] > 0], np.int64)

    def gather(self, queries: Sequence[Any]) -> tuple[list[Any], list[Any], int]:
        return [query[0] for query in queries], [query[1] for query in queries], queries[0][2]

    def search_all(self, batch: tuple[list[Any], list[Any], int], threads: int) -> None:
        """Pass all queries at once; the engine distributes them over Numba threads."""
        terms, weights, k = batch
        self._retrieve(terms, weights, self._scores, k, show_progress=False, n_threads=threads)
