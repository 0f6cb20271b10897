"""Filtered posting lists: postings of the documents that match a filter, made on first use."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.fork import freed_after_fork
from lsr_index.kernels.score.filtered_postings import filter_terms, list_slots, missing_terms
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.geometry import MAX_RANGE_SIZE

Reserve = Callable[[int], bool]
"""Reserves memory for a number of bytes; False: there is no room."""

# Lists are made where at most one document in this many matches: with more, block-max pruning
# skips as much.
_SHARE = 8


class FilteredPostings:
    """The documents of one segment that match a filter, and their posting lists by term.

    Safe from any thread: lists are only added, and published when they are complete.

    `table`, (n_arrays, 2) int64, is the address table of the `SegmentView`; `words`, (n_words,)
    uint64, the bitmap of the `n_docs` matching slots.

    `range_starts` and `range_slots` are the slots by range, see
    `lsr_index.kernels.score.filtered_postings.list_slots`.
    """

    @staticmethod
    def pays(arrays: SegmentArrays, n_docs: int) -> bool:
        """Return whether so few documents match that filtered lists are faster, and fit 16 bits."""
        most = min(arrays.n_docs // _SHARE, arrays.geometry.range_size, MAX_RANGE_SIZE)
        return 0 < n_docs <= most

    def __init__(
        self,
        arrays: SegmentArrays,
        table: NDArray[np.int64],
        words: NDArray[np.uint64],
        n_docs: int,
        reserve: Reserve,
    ) -> None:
        self._table, self._words, self._reserve = table, words, reserve
        self.range_starts = np.empty(arrays.n_ranges + 1, np.int64)
        self.range_slots = np.empty(n_docs, np.uint16)
        slots = np.empty(n_docs, np.uint32)
        list_slots(words, arrays.geometry.range_size, self.range_starts, self.range_slots, slots)
        # Positions in the segment, by slot.
        self.docs = arrays.slot_docs[slots] if arrays.reordered else slots
        self.addresses = np.zeros(arrays.terms.size, np.int64)  # of lists by term; 0: none yet
        self.full = False  # `reserve` refused memory; no more lists are made
        self._buffers: list[NDArray[np.uint8]] = []
        self._mutex = freed_after_fork(Lock())

    @property
    def n_bytes(self) -> int:
        """Bytes without the posting lists."""
        parts = (self.docs, self.addresses, self.range_starts, self.range_slots)
        return sum(part.nbytes for part in parts)

    def add_terms(self, term_ids: NDArray[np.uint32]) -> bool:
        """Make the missing lists of terms, (n,) uint32; return False without memory for them."""
        with self._mutex:
            return not self.full and self._make(term_ids)

    def _make(self, term_ids: NDArray[np.uint32]) -> bool:
        missing = np.empty(term_ids.size, np.int64)
        n, n_bytes = missing_terms(self._table, self.addresses, term_ids, self.docs.size, missing)
        if n == 0:
            return True
        buffer, begins = np.empty(n_bytes, np.uint8), np.empty(n + 1, np.int64)
        missing = missing[:n]
        filter_terms(
            self._table, self._words, self.range_starts, self.range_slots, missing, buffer, begins
        )
        used = int(begins[-1])
        if not self._reserve(used):
            self.full = True
            return False
        kept = buffer[:used].copy()
        self._buffers.append(kept)
        self.addresses[missing] = kept.ctypes.data + begins[:-1]
        return True
