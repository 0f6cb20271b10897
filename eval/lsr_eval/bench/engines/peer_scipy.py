"""SciPy: product of a query with the transposed document matrix, then selection of the k best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from lsr_eval.bench.engines.base import Engine, Params


class ScipyProduct(Engine):
    """One row times a CSR matrix of the documents by term."""

    def build(self, docs: Any, folder: Path, params: Params) -> None:
        by_term = docs.T.tocsr()
        for name in ("data", "indices", "indptr"):
            np.save(folder / f"{name}.npy", getattr(by_term, name))
        np.save(folder / "shape.npy", np.array(by_term.shape))

    def open(self, folder: Path) -> None:
        arrays = tuple(np.load(folder / f"{name}.npy") for name in ("data", "indices", "indptr"))
        n_terms, n_docs = (int(size) for size in np.load(folder / "shape.npy"))
        self._by_term: Any = csr_array(arrays, shape=(n_terms, n_docs))

    def prepare(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], k: int, params: Params
    ) -> tuple[Any, int]:
        row = csr_array((weights, terms, [0, len(terms)]), shape=(1, self._by_term.shape[0]))
        return row, k

    def search(self, query: tuple[Any, int]) -> NDArray[np.int64]:
        row, k = query
        scores = row @ self._by_term
        if k >= scores.nnz:
            best = np.arange(scores.nnz)
        else:
            best = np.argpartition(scores.data, -k)[-k:]
        best = best[np.argsort(-scores.data[best])]
        return np.asarray(scores.indices[best], np.int64)

    def ordinals(self, result: NDArray[np.int64]) -> NDArray[np.int64]:
        return result
