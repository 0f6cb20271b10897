"""Groups of ranges, of one segment or several, that are searched together, and their cursors.

The ranges of a group, its parts, follow one another in the scratch arrays. Blocks are numbered
through the group; each part begins at a multiple of 64, and gaps between parts hold 0.

A cursor is the posting list or dense row of a query term in a range. Terms with posting lists come
first and are always scattered: they are the essential lists of MaxScore [Turtle and Flood 1995].
Terms with dense rows follow by descending upper bound; their rows are added only to blocks that may
hold a hit.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import contribution, shift_of
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import segment_at, uint64_at
from lsr_index.kernels.simd.masks import MASK
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


@kernel
def padded_blocks(sizes):
    """Block numbers of a range of a segment in a group."""
    return (sizes[N_BLOCKS] + MASK - 1) // MASK * MASK


@kernel
def live_bitmap(live):
    """Bitmap of a segment's slots that may be returned; empty: all."""
    return uint64_at(live.address, live.n_words)


@kernel
def add_part(table, work, found, s, r, n, p, first_block):
    """Make range ``r`` of segment ``s`` part ``p`` of a group, from ``first_block`` on.

    Fills rows ``p`` of ``parts``, ``cursors`` and ``cursor_order`` of ``work``.
    """
    part = work.parts[p]
    part.segment = s
    part.range = r
    part.n_terms = n
    part.first_block = first_block
    part.n_lists = open_cursors(
        table, found, r, n, shift_of(work.acc), work.cursors[p], work.cursor_order[p]
    )


@kernel
def prefetch_part(segments, work, p):
    """Prefetch the first reads of the search of a part."""
    part = work.parts[p]
    prefetch_cursors(
        segments[part.segment], work.cursors[p], work.cursor_order[p], part.n_lists, part.n_terms
    )


@kernel
def end_of_blocks(blocks, begin, end, past):
    """End of the blocks below ``past`` in an ascending list."""
    while begin < end and np.int64(blocks[begin]) < past:
        begin += 1
    return begin
