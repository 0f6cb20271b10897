"""Scratch memory of the kernels, reused by later searches."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lsr_index.kernels.accumulator import NARROW, WIDE, Width
from lsr_index.kernels.pointers import address_table
from lsr_index.kernels.structs import (
    CURSOR,
    KEY_ROOM,
    MAX_PARTS,
    N_ACC,
    N_CAND,
    N_SCRATCH,
    N_STATS,
    PART,
    TERM,
)
from lsr_index.search.segment_set import Segments

# Rows of whole pages would make equal places of different rows compete for the same cache sets.
_SKEW = 160
# Values that are counted are looked at by the word, too.
_PADDING = 64


class Sizes(NamedTuple):
    """Capacity of a frame."""

    n_keys: int  # of a query
    n_slots: int  # of a group of ranges
    n_terms: int  # of a query, or ranges of a segment
    n_segments: int


class Frame:
    """Accumulators and other scratch of one thread, offsets and counters of a single query."""

    def __init__(self, sizes: Sizes, width: Width) -> None:
        self.sizes = sizes
        self.home = _spare[width.top]
        n_keys, n_slots, n_terms, n_segments = sizes
        # Blocks are looked at by the word: their rows are read up to the next multiple of 64.
        row = n_slots + _SKEW - n_slots % 64
        self.acc: Any = np.zeros((N_ACC, row), width.dtype)
        self._scratch = (
            np.zeros((N_CAND, row), np.uint32),
            np.zeros((N_SCRATCH, n_terms), np.int64),
            np.empty(n_keys, np.uint64),
            np.empty(n_keys + _PADDING, np.uint32),
            np.empty((n_segments, n_terms), TERM),
            np.empty(n_segments, np.int64),
            np.empty((MAX_PARTS, n_terms), CURSOR),
            np.empty((MAX_PARTS, n_terms), np.int64),
            np.empty(MAX_PARTS, PART),
        )
        self.table = address_table(self._scratch)
        self.table[0, 1] = row
        self.table[[1, 4, 6, 7], 1] = n_terms
        self.indptr = np.zeros(2, np.int64)
        self.counters = np.zeros(N_STATS, np.int64)


_spare: dict[int, list[Frame]] = {NARROW.top: [], WIDE.top: []}


def take_frame(n_terms: int, k: int, segments: Segments, width: Width) -> Frame:
    """Return a frame of the needed capacity for one search, which ends with `return_frame`."""
    try:
        frame = _spare[width.top].pop()
    except IndexError:
        frame = None
    if frame is not None:
        n_keys, n_slots, room, n_segments = frame.sizes
        if (
            n_keys >= 2 * k and n_keys >= k + KEY_ROOM and room >= n_terms
            and n_slots >= segments.n_slots and room >= segments.n_ranges
            and n_segments >= segments.n
        ):  # fmt: skip
            return frame
    need = Sizes(
        k + max(k, KEY_ROOM), max(64, segments.n_slots),
        max(256, n_terms, segments.n_ranges), max(1, segments.n),
    )  # fmt: skip
    if frame is not None:
        need = Sizes(*map(max, need, frame.sizes))
    return Frame(need, width)


def return_frame(frame: Frame) -> None:
    """Keep a frame for later searches: its pages are mapped and may be in the CPU cache."""
    frame.home.append(frame)
