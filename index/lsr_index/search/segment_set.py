"""The segments of a search, and bitmaps of the documents that may be returned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.pointers import address_table
from lsr_index.kernels.structs import GROUP_SLOTS, LIVE, SegmentView
from lsr_index.search.filtered_postings import FilteredPostings, Reserve
from lsr_index.segment.arrays import readonly
from lsr_index.segment.kernel_segment import KernelSegment

_ALL_LIVE = readonly(np.zeros(0, dtype=np.uint64))
_MAX_DOCS = 0xFFFFFFFF


class SlotMaps(NamedTuple):
    """Maps from document to slot, (n_docs,) or (0,) for each segment, and their addresses."""

    table: NDArray[np.int64]  # (n_segments, 2): addresses and lengths
    kept: tuple[NDArray[np.uint32], ...]  # must live as long as their addresses are used


class LiveBitmaps:
    """Documents of each segment that may be returned, as `LIVE` records for the kernels.

    `live` holds a bitmap for each segment, (ceil(n_docs / 64),) uint64: bit ``d % 64`` of word
    ``d // 64`` is set if document ``d`` may be returned; None or an empty array: all. Raises
    ValueError for a bitmap that does not fit its segment.
    """

    def __init__(
        self,
        segments: Sequence[KernelSegment],
        live: Sequence[NDArray[np.uint64] | None] | None = None,
    ) -> None:
        if live is None:
            live = [None] * len(segments)
        if len(live) != len(segments):
            raise ValueError(f"{len(live)} live bitmaps for {len(segments)} segments")
        self._kept = [
            _ALL_LIVE if words is None or words.size == 0 else _checked(segment, words)
            for segment, words in zip(segments, live, strict=True)
        ]
        self.segments = tuple(segments)
        self._lists: list[FilteredPostings] = []
        records = np.zeros(len(segments), LIVE)
        for segment, record, words in zip(segments, records, self._kept, strict=True):
            record["address"] = words.ctypes.data
            record["n_words"] = words.size
            record["n_docs"] = np.bitwise_count(words).sum() if words.size else segment.n_docs
        records["first_doc"][1:] = np.cumsum([s.n_docs for s in segments])[:-1]
        self.table = self._bitmaps_only = records.view(np.int64)

    @property
    def n_bytes(self) -> int:
        """Bytes of the bitmaps."""
        return sum(words.nbytes for words in self._kept)

    def use_filtered_postings(self, reserve: Reserve) -> None:
        """Use filtered posting lists in segments where few documents may be returned.

        For bitmaps of many searches: the first search with a term copies its postings in these
        documents. `reserve` is called for every piece of memory.
        """
        table = self.table.copy()
        records = table.view(LIVE)
        for segment, record, words in zip(self.segments, records, self._kept, strict=True):
            n_docs = int(record["n_docs"])
            if not FilteredPostings.pays(segment.arrays, n_docs):
                continue
            lists = FilteredPostings(segment.arrays, segment.table, words, n_docs, reserve)
            if not reserve(lists.n_bytes):
                break
            self._lists.append(lists)
            record["lists"] = lists.addresses.ctypes.data
            record["docs"] = lists.docs.ctypes.data
            record["range_starts"] = lists.range_starts.ctypes.data
            record["range_slots"] = lists.range_slots.ctypes.data
        self.table = table

    def table_with(self, term_ids: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Make the filtered posting lists of terms, (n,) uint32; return the `LIVE` records."""
        if any(lists.full for lists in self._lists):
            return self._bitmaps_only
        known = all(lists.add_terms(term_ids) for lists in self._lists)
        return self.table if known else self._bitmaps_only


def _checked(segment: KernelSegment, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    if words.dtype != np.uint64 or words.size != (segment.n_docs + 63) // 64:
        raise ValueError(
            f"a live bitmap of {segment.n_docs} documents needs {(segment.n_docs + 63) // 64} "
            f"uint64 words, got {words.size} of {words.dtype}"
        )
    return readonly(segment.slot_bitmap(words))


class Segments:
    """The segments of a search, fewer than 2**32 - 1 documents, as address tables for kernels."""

    def __init__(self, segments: Iterable[KernelSegment]) -> None:
        self.segments = tuple(segments)
        self.n = len(self.segments)
        self.n_docs = sum(segment.n_docs for segment in self.segments)
        if self.n_docs >= _MAX_DOCS:
            raise ValueError("the segments of one search must hold fewer than 2**32 - 1 documents")
        # Slots that a search evaluates together: a range, or a group of small ones.
        whole = sum(segment.n_slots * segment.n_ranges for segment in self.segments)
        self.n_slots = max([min(GROUP_SLOTS, whole), *(s.n_slots for s in self.segments)])
        self.n_ranges = max((s.n_ranges for s in self.segments), default=0)
        tables = [segment.table for segment in self.segments]
        self.table = np.array(tables, np.int64).reshape(len(tables), len(SegmentView._fields), 2)
        self.all_live = LiveBitmaps(self.segments)
        self.bases = np.cumsum([0, *(segment.n_docs for segment in self.segments)])

    @cached_property
    def slot_maps(self) -> SlotMaps:
        """Slot of each document; 4 bytes a document of reordered segments, made on first use."""
        kept = tuple(segment.slots_of_documents() for segment in self.segments)
        return SlotMaps(address_table(kept).reshape(self.n, 2), kept)

    def bitmaps(self, live: Sequence[NDArray[np.uint64] | None] | None) -> LiveBitmaps:
        """Return the bitmaps of a search; see `LiveBitmaps`."""
        return self.all_live if live is None else LiveBitmaps(self.segments, live)
