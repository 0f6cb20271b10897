"""`TermRanges`: the range of term ids that each encoder of a composite owns.

Only the last may grow, so ids stay. Collection counts are joined in the same manner: the range of a
part is preceded by one more entry, the total length of the texts in that part's own tokens, so that
the counts of a composite add up like those of any encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import CollectionStatistics
from lsr.sparse import SparseBatch


class TermRanges:
    """First term ids of the parts, from the vocabulary sizes of all but the last, open one."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.starts = [0]
        for size in sizes:
            self.starts.append(self.starts[-1] + size)

    def part_of(self, term_id: int) -> int:
        return int(np.searchsorted(self.starts, term_id, side="right")) - 1

    def join(self, parts: Sequence[SparseBatch], weights: Sequence[float]) -> SparseBatch:
        """Return vectors side by side, each part's values multiplied by its weight."""
        lengths = [np.diff(part.indptr) for part in parts]
        indptr = np.concatenate([[0], np.cumsum(np.sum(lengths, axis=0))]).astype(np.int64)
        term_ids = np.empty(indptr[-1], np.uint32)
        values = np.empty(indptr[-1], np.float32)
        free = indptr[:-1].copy()
        for part, length, start, weight in zip(parts, lengths, self.starts, weights, strict=True):
            own = part.indptr[:-1] - part.indptr[0]
            places = np.arange(part.nnz) + np.repeat(free - own, length)
            term_ids[places] = part.indices + np.uint32(start)
            values[places] = part.values * np.float32(weight)
            free += length
        return SparseBatch(indptr, term_ids, values)

    def split(self, vectors: SparseBatch) -> list[SparseBatch]:
        """Return the vectors of each part: the inverse of `join` with weights of 1."""
        rows = np.repeat(np.arange(len(vectors)), np.diff(vectors.indptr))
        owner = np.searchsorted(self.starts, vectors.indices, side="right") - 1
        parts = []
        for number, start in enumerate(self.starts):
            held = owner == number
            counts = np.bincount(rows[held], minlength=len(vectors))
            parts.append(
                SparseBatch.of_lengths(
                    counts, vectors.indices[held] - np.uint32(start), vectors.values[held]
                )
            )
        return parts

    def join_counts(self, parts: Sequence[CollectionStatistics]) -> CollectionStatistics:
        """Return counts that hold those of all parts; see the module for their layout."""
        places = self._count_places()
        size = places[-1] + 1 + len(parts[-1].document_frequency)
        counts = np.zeros(size, np.int64)
        for part, place in zip(parts, places, strict=True):
            counts[place] = part.total_length
            counts[place + 1 : place + 1 + len(part.document_frequency)] = part.document_frequency
        return CollectionStatistics(
            max(part.n_docs for part in parts), sum(part.total_length for part in parts), counts
        )

    def split_counts(self, counts: CollectionStatistics) -> list[CollectionStatistics]:
        places = self._count_places()
        ends = [*places[1:], max(places[-1] + 1, len(counts.document_frequency))]
        padded: NDArray[np.int64] = np.zeros(ends[-1], np.int64)
        padded[: len(counts.document_frequency)] = counts.document_frequency
        return [
            CollectionStatistics(counts.n_docs, int(padded[place]), padded[place + 1 : end])
            for place, end in zip(places, ends, strict=True)
        ]

    def _count_places(self) -> list[int]:
        return [start + number for number, start in enumerate(self.starts)]
