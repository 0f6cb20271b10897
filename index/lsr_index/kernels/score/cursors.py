"""Cursors: the posting list or dense row of each query term in a range, and their order.

Terms with posting lists come first and are always scattered: they are the essential lists of
MaxScore [Turtle and Flood 1995]. Terms with dense rows follow by descending upper bound; their rows
are added only to blocks that may hold a hit.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import contribution
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import segment_at
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.structs import N_BLOCKS, N_DENSE, N_RANGES

# Postings of a list that are prefetched.
_AHEAD = 512


@kernel
def open_cursors(table, found, r, n, shift, cursors, order):
    """Find the lists and rows of a query's terms in range ``r``; returns the number of lists.

    Parameters
    ----------
    cursors : (>= n,) CURSOR records
        Filled, in the order of ``found``.
    order : (>= n,) int64
        Filled: cursors with posting lists, then those with rows by descending bound.
    """
    seg = segment_at(table)
    term_info, range_max, offsets = seg.term_info, seg.range_max, seg.offsets
    n_ranges, base = seg.sizes[N_RANGES], seg.range_base[r]
    n_lists = 0
    n_rows = 0
    for i in range(n):
        position, cursor = found[i].position, cursors[i]
        if term_info.size != 0:
            info = term_info[position]
            impact, row = info.max_impact, np.int64(info.row)
            begin, end = np.int64(info.begin), np.int64(info.end)
        else:
            at = position * n_ranges + r
            impact, row = range_max[at], np.int64(seg.row_of_term[position])
            begin, end = np.int64(offsets[at]), np.int64(offsets[at + n_ranges])
        cursor.weight = found[i].weight
        cursor.bound = contribution(impact, found[i].weight, shift)
        if row < 0:
            cursor.begin = base + begin
            cursor.end = base + end
            order[n_lists] = i
            n_lists += 1
        else:
            cursor.row = r * seg.sizes[N_DENSE] + row
            n_rows += 1
            order[n - n_rows] = i
    for i in range(n_lists + 1, n):
        moved = order[i]
        bound = cursors[moved].bound
        at = i
        while at > n_lists and cursors[order[at - 1]].bound < bound:
            order[at] = order[at - 1]
            at -= 1
        order[at] = moved
    return n_lists


@kernel
def prefetch_cursors(table, cursors, order, n_lists, n):
    """Prefetch the first reads of the search of a range, while another range is searched."""
    seg = segment_at(table)
    n_blocks = seg.sizes[N_BLOCKS]
    for i in range(n_lists):
        cursor = cursors[order[i]]
        begin, end = cursor.begin, min(cursor.end, cursor.begin + _AHEAD)
        for at in range(begin, end, 32):
            prefetch(seg.slots, at)
        for at in range(begin, end, 64):
            prefetch(seg.impacts, at)
    for i in range(n_lists, n):
        cell = cursors[order[i]].row * n_blocks
        for at in range(cell, cell + n_blocks, 64):
            prefetch(seg.block_max, at)
