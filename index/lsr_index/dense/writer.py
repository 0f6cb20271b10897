"""Writing the dense vectors of a segment: collected as documents arrive, then put in list order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr_index.dense.clustering import SAMPLE_PER_LIST, assign, train_centroids
from lsr_index.dense.codes import Codes, decode, present
from lsr_index.storage.container import ContainerWriter
from lsr_index.storage.dense_part import DensePart
from lsr_index.storage.spool import Spool

_BLOCK_ROWS = 8192
_SEED = 99
# Rounding of distances in single precision stays below this share of them.
_SLACK = np.float32(1 + 1e-5)


class DenseWriter:
    """Collects the vectors of documents in order; `write` stores them.

    `memory_bytes` bounds the working memory; `scratch` is an existing folder for the rest, if any.
    """

    def __init__(self, part: DensePart, memory_bytes: int, scratch: Path | None) -> None:
        self._part = part
        self._memory_bytes = memory_bytes
        self._spool = Spool(np.uint16, scratch and scratch / "dense.tmp")
        self._documents: list[NDArray[np.int32]] = []
        self._n_docs = 0
        self._n_vectors = 0

    def add(self, codes: Codes) -> None:
        """Add the vectors of the next documents; a row of zeros is a document without a vector."""
        there = np.flatnonzero(present(codes)).astype(np.int32)
        self._spool.append(codes[there].reshape(-1))
        self._documents.append(there + np.int32(self._n_docs))
        self._n_docs += len(codes)
        self._n_vectors += len(there)

    def write(self, container: ContainerWriter) -> dict[str, int]:
        """Append the arrays; return the params."""
        with closing(self._spool):
            return self._write(container)

    def _write(self, container: ContainerWriter) -> dict[str, int]:
        dimension, n = self._part.dimension, self._n_vectors
        documents = np.concatenate([np.zeros(0, np.int32), *self._documents])
        n_lists = self._part.lists_for(n)
        centroids, lists, radii = self._clusters(n_lists)
        order = np.argsort(lists, kind="stable")
        starts = np.searchsorted(lists[order], np.arange(n_lists + 1)).astype(np.int64)
        place = np.empty(n, np.int32)
        place[order] = np.arange(n, dtype=np.int32)
        rows = np.full(self._n_docs, -1, np.int32)
        rows[documents] = place
        container.begin("dense/vectors", np.uint16)
        self._write_vectors(container, place)
        container.end((n, dimension))
        container.add("dense/documents", documents[order])
        container.add("dense/rows", rows)
        container.add("dense/starts", starts)
        container.add("dense/centroids", centroids)
        container.add("dense/radii", radii)
        return {"dimension": dimension, "n_lists": n_lists, "n_vectors": n}

    def _clusters(
        self, n_lists: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
        """Return the centres, the list of each vector, and the radius of each list."""
        if n_lists == 1:
            centroids = np.zeros((1, self._part.dimension), np.float32)
        else:
            centroids = train_centroids(self._sample(n_lists), n_lists, self._part.similarity)
        lists, radii = np.zeros(self._n_vectors, np.int32), np.zeros(n_lists, np.float32)
        for start, block in self._blocks():
            nearest, away = assign(decode(block), centroids)
            lists[start : start + len(block)] = nearest
            np.maximum.at(radii, nearest, away * _SLACK)
        return centroids, lists, radii

    def _sample(self, n_lists: int) -> NDArray[np.float32]:
        room = max(n_lists, self._memory_bytes // 4 // (4 * self._part.dimension))
        size = min(self._n_vectors, n_lists * SAMPLE_PER_LIST, room)
        rng = np.random.default_rng(_SEED)
        chosen = np.sort(rng.choice(self._n_vectors, size, replace=False))
        parts = []
        for start, block in self._blocks():
            first, last = np.searchsorted(chosen, [start, start + len(block)])
            parts.append(decode(block[chosen[first:last] - start]))
        return np.concatenate(parts)

    def _write_vectors(self, container: ContainerWriter, place: NDArray[np.int32]) -> None:
        """Append the vectors in list order, reading all of them once per memory-full of places."""
        dimension = self._part.dimension
        if np.array_equal(place, np.arange(self._n_vectors)):
            for _, block in self._blocks():
                container.append(block.reshape(-1))
            return
        step = max(_BLOCK_ROWS, self._memory_bytes // 2 // (2 * dimension))
        for low in range(0, self._n_vectors, step):
            held = np.empty((min(step, self._n_vectors - low), dimension), np.uint16)
            for start, block in self._blocks():
                places = place[start : start + len(block)] - low
                wanted = np.flatnonzero((places >= 0) & (places < len(held)))
                held[places[wanted]] = block[wanted]
            container.append(held.reshape(-1))

    def _blocks(self) -> Iterator[tuple[int, Codes]]:
        dimension = self._part.dimension
        for start in range(0, self._n_vectors, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, self._n_vectors)
            codes = self._spool.read(start * dimension, stop * dimension)
            yield start, codes.reshape(-1, dimension)
