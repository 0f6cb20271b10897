"""bmp: block-max pruning in Rust, over 8-bit impacts and small integer query weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_eval.bench.engines.base import Engine, Params, quantised_weights


class BlockMaxPruning(Engine):
    """One `bmp.Searcher`; terms are named by their ids."""

    def build(self, docs: Any, folder: Path, params: Params) -> None:
        """Add the documents one by one, impacts scaled to 1..255."""
        from bmp import Indexer

        indexer = Indexer(
            str(folder / "index.bmp"), bsize=params["block_size"], compress_range=False
        )
        names = [str(term) for term in range(docs.shape[1])]
        impacts = quantised_weights(docs.data)
        for ordinal, (start, end) in enumerate(zip(docs.indptr, docs.indptr[1:], strict=False)):
            terms = docs.indices[start:end].tolist()
            vector = zip((names[term] for term in terms), impacts[start:end].tolist(), strict=True)
            indexer.add_document(str(ordinal), dict(vector))
        indexer.finish()

    def open(self, folder: Path) -> None:
        from bmp import Searcher

        self._searcher = Searcher(str(folder / "index.bmp"))

    def prepare(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], k: int, params: Params
    ) -> tuple[dict[str, float], int, float, float]:
        """Make the dictionary that bmp takes; bmp scales the weights."""
        named = {
            str(term): weight for term, weight in zip(terms.tolist(), weights.tolist(), strict=True)
        }
        return named, k, params["alpha"], params["beta"]

    def search(self, query: tuple[dict[str, float], int, float, float]) -> Any:
        """Search; an empty query would make it panic and is answered here."""
        return self._searcher.search(*query) if query[0] else ([], [])

    def ordinals(self, result: Any) -> NDArray[np.int64]:
        return np.array(result[0], dtype=np.int64)
