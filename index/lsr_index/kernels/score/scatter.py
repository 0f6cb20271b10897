"""First pass over the parts of a group: posting lists scattered, blocks bounded."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import inlined_kernel, kernel
from lsr_index.kernels.pointers import segment_at
from lsr_index.kernels.score.range_group import live_bitmap, padded_blocks, prefetch_part
from lsr_index.kernels.score.scan import add_bounds, add_row, block_maxima, scatter
from lsr_index.kernels.structs import ACC_BOUNDS, ACC_MAXIMA, ACC_SCORES, N_BLOCKS, RANGE_SIZE


@kernel
def scatter_lists(slots, impacts, cursors, order, acc, n_lists, stats):
    """Scatter the posting lists of a range: the first cursors of the order."""
    for i in range(n_lists):
        cursor = cursors[order[i]]
        begin, end = cursor.begin, cursor.end
        scatter(acc, slots, impacts, begin, end, np.uint32(cursor.weight))
        stats.postings += end - begin


@kernel
def bound_rows(block_max, cursors, order, bounds, n_lists, n, options):
    """Upper bounds, by block, of the contributions of the rows of a range."""
    bounds[:] = 0
    for i in range(n_lists, n):
        cursor = cursors[order[i]]
        if options.bounds == 0:
            for b in range(bounds.size):
                bounds[b] += cursor.bound
        else:
            add_bounds(bounds, block_max, cursor.row * bounds.size, np.uint32(cursor.weight))


@kernel
def scatter_part(table, cursors, order, part, work, live, whole_rows, stats, options):
    """Scatter the posting lists of a part and bound its blocks.

    Fills ``ACC_SCORES``, ``ACC_MAXIMA`` and ``ACC_BOUNDS`` of ``work`` at the slots and blocks of
    the part. With ``whole_rows`` rows are added to the whole range too, and count as lists from
    then on.
    """
    seg = segment_at(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part.first_block
    block_size, past = size // n_blocks, first + padded_blocks(seg.sizes)
    acc = work.acc[ACC_SCORES, first * block_size : first * block_size + size]
    maxima, bounds = work.acc[ACC_MAXIMA, first:past], work.acc[ACC_BOUNDS, first:past]
    n_lists, n = part.n_lists, part.n_terms
    acc[:] = 0
    scatter_lists(seg.slots, seg.impacts, cursors, order, acc, n_lists, stats)
    if whole_rows:
        for i in range(n_lists, n):
            cursor = cursors[order[i]]
            add_row(acc, seg.rows, cursor.row * size, np.uint32(cursor.weight))
            stats.cells += size
        stats.ranges_scanned += np.int64(n_lists < n)
        n_lists = n
        part.n_lists = n
    maxima[n_blocks:] = 0
    bounds[n_blocks:] = 0
    bound_rows(seg.block_max, cursors, order, bounds[:n_blocks], n_lists, n, options)
    block_maxima(acc, live, part.range * size, block_size, maxima, bounds)


@inlined_kernel
def scatter_parts(segments, live, work, n_parts, whole_rows, stats, options):
    """Scatter the parts of a group, see `scatter_part`; returns the number of rows left to add."""
    n_rows = np.int64(0)
    prefetch_part(segments, work, 0)
    for p in range(n_parts):
        if p + 1 < n_parts:
            prefetch_part(segments, work, p + 1)
        part = work.parts[p]
        s = part.segment
        scatter_part(
            segments[s], work.cursors[p], work.cursor_order[p], part, work, live_bitmap(live[s]),
            whole_rows, stats, options,
        )  # fmt: skip
        n_rows += part.n_terms - part.n_lists
    return n_rows
