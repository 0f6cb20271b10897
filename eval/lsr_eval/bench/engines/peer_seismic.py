"""Seismic (pyseismic-lsr): approximate search over clustered blocks of truncated posting lists.

The variant with integer components is used: it avoids the lookup of terms by name, about 0.1 ms a
query, and is the fastest interface of the library.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_eval.bench.engines.base import Engine, Params


class Seismic(Engine):
    """One `seismic.SeismicIndexRaw`."""

    def build(self, docs: Any, folder: Path, params: Params) -> None:
        from seismic import SeismicIndexRaw

        source = folder / "documents.bin"
        ends = zip(docs.indptr, docs.indptr[1:], strict=False)
        rows = ((docs.indices[start:end], docs.data[start:end]) for start, end in ends)
        _write_rows(source, docs.shape[0], rows)
        SeismicIndexRaw.build(str(source), **params).save(str(folder / "index"))
        source.unlink()

    def open(self, folder: Path) -> None:
        from seismic import SeismicIndexRaw

        self._batch_file = folder / "queries.bin"
        self._index = SeismicIndexRaw.load(str(folder / "index"))

    def prepare(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], k: int, params: Params
    ) -> tuple[Any, ...]:
        return terms, weights, k, params["query_cut"], params["heap_factor"], 0, True

    def search(self, query: tuple[Any, ...]) -> list[tuple[float, int]]:
        answer: list[tuple[float, int]] = self._index.search(*query) if len(query[0]) else []
        return answer

    def ordinals(self, result: list[tuple[float, int]]) -> NDArray[np.int64]:
        return np.array([ordinal for _, ordinal in result], dtype=np.int64)

    def gather(self, queries: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
        """Write the queries to a file, which its batch search reads."""
        rows = [(terms, weights) for terms, weights, *_ in queries]
        _write_rows(self._batch_file, len(rows), rows)
        return str(self._batch_file), queries[0][2:]

    def search_all(self, batch: tuple[str, tuple[Any, ...]], threads: int) -> None:
        """Pass all queries at once; Seismic distributes them over its threads."""
        path, arguments = batch
        self._index.batch_search(path, *arguments, num_threads=threads)


def _write_rows(path: Path, n_rows: int, rows: Iterable[tuple[Any, Any]]) -> None:
    """Write its input format: number of rows, then of each its length, components and values."""
    with path.open("wb") as file:
        file.write(struct.pack("<I", n_rows))
        for terms, weights in rows:
            file.write(struct.pack("<I", len(terms)))
            file.write(terms.astype("<u4").tobytes() + weights.astype("<f4").tobytes())
