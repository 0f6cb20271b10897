"""Filter cache of a generation, within a bound on memory, and the snapshot that searches use."""

from __future__ import annotations

import marshal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.fork import freed_after_fork
from lsr_index.search.filters import (
    Filter,
    check_fields,
    matching_documents,
    merged_fields,
    parse_filter,
)
from lsr_index.search.segment_set import LiveBitmaps, Segments
from lsr_index.segment.delete_bitmap import Words, mask_of
from lsr_index.segment.reader import SegmentReader

MAX_FILTERS = 32
MAX_BYTES = 64 << 20


@dataclass(eq=False)
class FilteredDocuments:
    """The documents that match a filter."""

    words: list[Words]  # one bitmap for each segment
    bitmaps: LiveBitmaps  # the same for the kernels
    n_bytes: int  # of the bitmaps and of the filtered posting lists
    repeated: bool = False  # the filter was used more than once


class FilterCache:
    """Cache of evaluated filters over the segments of one generation; safe from any thread.

    A filter that is used again and that few documents match gets filtered posting lists (see
    `lsr_index.search.filtered_postings`). The cache holds at most `MAX_FILTERS` filters and
    `MAX_BYTES` (one filter's bitmaps may be larger); the oldest are removed first. `searchers` are
    the same segments for the kernels.
    """

    def __init__(self, segments: Sequence[SegmentReader], searchers: Segments) -> None:
        self._segments = segments
        self._searchers = searchers
        self._mutex = freed_after_fork(threading.RLock())
        self._by_meaning: dict[Filter, FilteredDocuments] = {}
        self._as_written: dict[bytes, FilteredDocuments] = {}

    def __len__(self) -> int:
        return len(self._by_meaning)

    @property
    def n_bytes(self) -> int:
        """Memory of all filters."""
        return sum(found.n_bytes for found in self._by_meaning.values())

    def find(self, filter: Any) -> FilteredDocuments:
        """Return the documents that match a filter; raises UsageError as `check_fields`."""
        written = _written(filter)
        found = self._as_written.get(written) if written is not None else None
        if found is not None and found.repeated:
            return found
        condition = parse_filter(filter)
        with self._mutex:
            found = self._by_meaning.get(condition)
            if found is not None and not found.repeated:
                found.repeated = True
                found.bitmaps.use_filtered_postings(partial(_reserve, ref(self), ref(found)))
        if found is None:
            found = self._evaluated(condition)
        with self._mutex:
            found = self._by_meaning.setdefault(condition, found)
            if written is not None:
                self._as_written[written] = found
            self._forget_all_beyond(found, MAX_BYTES)
        return found

    def _evaluated(self, condition: Filter) -> FilteredDocuments:
        check_fields(condition, merged_fields(segment.columns for segment in self._segments))
        words = [matching_documents(segment, condition) for segment in self._segments]
        bitmaps = LiveBitmaps(self._searchers.segments, words)
        n_bytes = sum(part.nbytes for part in words) + bitmaps.n_bytes
        return FilteredDocuments(words, bitmaps, n_bytes)

    def reserve(self, owner: FilteredDocuments, n_bytes: int) -> bool:
        """Reserve memory for posting lists of a filter; return False without room for it."""
        with self._mutex:
            if not any(found is owner for found in self._by_meaning.values()):
                return False
            self._forget_all_beyond(owner, MAX_BYTES - n_bytes)
            if self.n_bytes + n_bytes > MAX_BYTES:
                return False
            owner.n_bytes += n_bytes
            return True

    def _forget_all_beyond(self, kept: FilteredDocuments, n_bytes: int) -> None:
        """Remove the oldest filters but `kept` until the others fit into `n_bytes`."""
        oldest = [(key, found) for key, found in self._by_meaning.items() if found is not kept]
        for key, dropped in oldest:
            if self.n_bytes <= n_bytes and len(self._by_meaning) <= MAX_FILTERS:
                break
            del self._by_meaning[key]
            gone = [text for text, found in self._as_written.items() if found is dropped]
            for text in gone:
                del self._as_written[text]
        while len(self._as_written) > 2 * MAX_FILTERS:
            del self._as_written[next(iter(self._as_written))]


class SearchSnapshot:
    """Segments, bitmaps and filters of one generation. Immutable.

    A search holds its snapshot until it ends, so closing the index unmaps nothing that a kernel
    reads, and every bitmap fits its segment. Raises CorruptIndexError for a position in a file
    outside of its array.
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


def _reserve(cache: ref[FilterCache], owner: ref[FilteredDocuments], n_bytes: int) -> bool:
    """Reserve memory in the cache, if cache and filter still exist.

    The posting lists of a filter hold this function. A bound method would make the cache part of a
    cycle, and the maps of an index would stay until the cyclic garbage collector runs.
    """
    its_cache, itself = cache(), owner()
    return its_cache is not None and itself is not None and its_cache.reserve(itself, n_bytes)


def _written(filter: Any) -> bytes | None:
    """Return a filter of plain values as bytes, faster than parsing it; None for other values."""
    try:
        return marshal.dumps(filter, 2)
    except ValueError:
        return None
