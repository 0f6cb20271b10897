"""`SearchSnapshot`: segments, bitmaps and filter cache of one generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.search.filter_cache import FilterCache
from lsr_index.search.segment_set import LiveBitmaps, Segments
from lsr_index.segment.delete_bitmap import mask_of
from lsr_index.segment.reader import SegmentReader


class SearchSnapshot:
    """Segments, bitmaps and filters of one generation. Immutable.

    A search holds its snapshot until it ends, so closing the index unmaps nothing that a kernel
    reads, and every bitmap fits its segment.

    Raises
    ------
    CorruptIndexError
        A position in a file is outside of its array.
    """

    def __init__(self, readers: Sequence[SegmentReader]) -> None:
        self.readers = tuple(readers)
        self.segments = Segments(reader.kernel_segment for reader in self.readers)
        self.live = self.segments.bitmaps([reader.live for reader in self.readers])
        self.filters = FilterCache(self.readers, self.segments)

    def bitmaps(self, filter: Any) -> LiveBitmaps:
        """Return the documents that may be returned, for the kernels."""
        return self.live if filter is None else self.filters.find(filter).bitmaps

    def select(self, filter: Any) -> NDArray[np.int64]:
        """Return the ordinals of all documents that match a filter, ascending."""
        found = [
            np.flatnonzero(mask_of(words, reader.n_docs)) + base
            for words, reader, base in zip(
                self.filters.find(filter).words, self.readers, self.segments.bases, strict=False
            )
        ]
        return np.concatenate([np.zeros(0, np.int64), *found])
