"""`SearchSnapshot`: what the searches of one generation run on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.search.filter_cache import FilterCache
from lsr_index.search.segment_set import LiveBitmaps, Segments
from lsr_index.segment.delete_bitmap import Words, mask_of
from lsr_index.segment.reader import SegmentReader


class SearchSnapshot:
    """Segments, bitmaps of documents and filters that belong together.

    It never changes. A search holds the one it began with until it ends, so that closing the index
    takes no array away from a kernel, and no bitmap meets a segment that it was not made for.

    Parameters
    ----------
    readers : sequence of SegmentReader

    Raises
    ------
    CorruptIndexError
        A number in a file would lead a kernel out of its arrays.
    """

    def __init__(self, readers: Sequence[SegmentReader]) -> None:
        self.readers = tuple(readers)
        self.segments = Segments(reader.kernel_segment for reader in self.readers)
        self.live = self.segments.bitmaps([reader.live for reader in self.readers])
        self.filters = FilterCache(self.readers, self.segments)

    def bitmaps(self, filter: Any) -> LiveBitmaps:
        """Return which documents may appear, as the kernels take it."""
        return self.live if filter is None else self.filters.find(filter).bitmaps

    def words(self, filter: Any) -> Sequence[Words | None]:
        """Return which documents may appear: a bitmap for each segment, None: all."""
        if filter is None:
            return [reader.live for reader in self.readers]
        return self.filters.find(filter).words

    def select(self, filter: Any) -> NDArray[np.int64]:
        """Return the numbers of all documents that match a filter, rising."""
        found = [
            np.flatnonzero(mask_of(words, reader.n_docs)) + base
            for words, reader, base in zip(
                self.filters.find(filter).words, self.readers, self.segments.bases, strict=False
            )
        ]
        return np.concatenate([np.zeros(0, np.int64), *found])
