"""Kernels of the structure check: lengths of their arrays are checked before, contents are not."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.structs import N_BLOCKS, N_DENSE, N_DOCS, N_RANGES, N_TERMS, RANGE_SIZE


@kernel
def is_padding(seg, slot):
    """Whether a slot of the segment holds no document."""
    if seg.slot_docs.size == 0:
        return slot >= seg.sizes[N_DOCS]
    return seg.slot_docs[slot] == np.uint32(0xFFFFFFFF)


@kernel
def count_posting(seg, t, impact, found):
    """Count a posting of the ``t``-th term, and for which of its k-th impacts it stands."""
    found[t, 0] += 1
    for column in range(3):
        found[t, column + 1] += np.int64(impact >= seg.kth_impacts[t * 3 + column])


@kernel
def check_lists(seg, r, found):
    """Number of the first rule that the lists of range ``r`` break, 0 if none.

    The offsets of the range, the dictionary and ``row_of_term`` must have been checked. Adds to
    ``found``, (n_terms, 4) int64: postings, and those with at least each of the k-th impacts.
    """
    n_ranges = seg.sizes[N_RANGES]
    range_size = seg.sizes[RANGE_SIZE]
    base = seg.range_base[r]
    for t in range(seg.sizes[N_TERMS]):
        at = t * n_ranges + r
        begin = base + np.int64(seg.offsets[at])
        end = base + np.int64(seg.offsets[at + n_ranges])
        if seg.row_of_term[t] >= 0:
            if begin != end:
                return 4
            continue
        last = np.int64(-1)
        peak = np.uint8(0)
        for j in range(begin, end):
            slot = np.int64(seg.slots[j])
            if slot <= last or slot >= range_size:
                return 1
            if seg.impacts[j] == 0:
                return 2
            if is_padding(seg, r * range_size + slot):
                return 5
            count_posting(seg, t, seg.impacts[j], found)
            last = slot
            peak = max(peak, seg.impacts[j])
        if peak != seg.range_max[at]:
            return 3
    return 0


@kernel
def check_rows(seg, r, found):
    """Number of the first rule that the rows of range ``r`` break, 0 if none; see `check_lists`."""
    n_ranges, n_dense = seg.sizes[N_RANGES], seg.sizes[N_DENSE]
    range_size, n_blocks = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS]
    block_size = range_size // n_blocks
    for t in range(seg.sizes[N_TERMS]):
        row = np.int64(seg.row_of_term[t])
        if row < 0:
            continue
        cell = (r * n_dense + row) * n_blocks
        at = (r * n_dense + row) * range_size
        peak = np.uint8(0)
        for b in range(n_blocks):
            best = np.uint8(0)
            for slot in range(b * block_size, (b + 1) * block_size):
                impact = seg.rows[at + slot]
                if impact > 0:
                    if is_padding(seg, r * range_size + slot):
                        return 5
                    count_posting(seg, t, impact, found)
                best = max(best, impact)
            if best != seg.block_max[cell + b]:
                return 6
            peak = max(peak, best)
        if peak != seg.range_max[t * n_ranges + r]:
            return 3
    return 0
