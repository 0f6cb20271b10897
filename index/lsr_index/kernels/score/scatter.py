"""The parts of a group before their rows are added: lists scattered, blocks bounded."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import inlined_kernel, kernel
from lsr_index.kernels.pointers import open_view
from lsr_index.kernels.score.range_group import ask_part, padded_blocks, words_of
from lsr_index.kernels.score.scan import add_bounds, add_row, block_maxima, scatter
from lsr_index.kernels.structs import (
    ACC,
    BEGIN,
    BOUNDS,
    END,
    MAXIMA,
    N_BLOCKS,
    OPT_BOUNDS,
    ORDER,
    PART_FIRST,
    PART_LISTS,
    PART_RANGE,
    PART_SEGMENT,
    PART_TERMS,
    PEAK,
    RANGE_SIZE,
    ROW,
    STAT_CELLS,
    STAT_FINISHED,
    STAT_POSTINGS,
    WEIGHT,
)


@kernel
def scatter_lists(slots, impacts, plan, acc, n_lists, shift, stats):  # type: ignore[no-untyped-def]
    """Scatter the lists of a range: the first places of the order."""
    order, weights = plan[ORDER], plan[WEIGHT]
    begins, ends = plan[BEGIN], plan[END]
    for i in range(n_lists):
        t = order[i]
        scatter(acc, slots, impacts, begins[t], ends[t], np.uint32(weights[t]), shift)
        stats[STAT_POSTINGS] += ends[t] - begins[t]


@kernel
def bound_rows(block_max, plan, bounds, n_lists, n, shift, options):  # type: ignore[no-untyped-def]
    """Upper bounds, per block, of what the rows of a range add."""
    order, weights = plan[ORDER], plan[WEIGHT]
    bounds[:] = 0
    for i in range(n_lists, n):
        t = order[i]
        if options[OPT_BOUNDS] == 0:
            for b in range(bounds.size):
                bounds[b] += plan[PEAK, t]
        else:
            cell = plan[ROW, t] * bounds.size
            add_bounds(bounds, block_max, cell, np.uint32(weights[t]), shift)


@kernel
def fill_part(table, plan, part, work, live, everywhere, shift, stats, options):  # type: ignore[no-untyped-def]
    """Scatter the lists of a part and bound its blocks.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    plan, part : (N_PLAN, n) int64, (N_PART,) int64
    work : Workspace
        ``ACC``, ``MAXIMA`` and ``BOUNDS`` are filled where the part is.
    live : (n_words,) uint64
    everywhere : bool
        Rows are added to the whole range as well, which makes them lists.
    shift : uint32
    stats, options
        As in `lsr_index.kernels.score.search_group.search_group`.
    """
    seg = open_view(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part[PART_FIRST]
    block_size, past = size // n_blocks, first + padded_blocks(seg.sizes)
    acc = work.lanes[ACC, first * block_size : first * block_size + size]
    maxima, bounds = work.lanes[MAXIMA, first:past], work.lanes[BOUNDS, first:past]
    n_lists, n = part[PART_LISTS], part[PART_TERMS]
    acc[:] = 0
    scatter_lists(seg.slots, seg.impacts, plan, acc, n_lists, shift, stats)
    if everywhere:
        for i in range(n_lists, n):
            t = plan[ORDER, i]
            add_row(acc, seg.rows, plan[ROW, t] * size, np.uint32(plan[WEIGHT, t]))
            stats[STAT_CELLS] += size
        stats[STAT_FINISHED] += np.int64(n_lists < n)
        n_lists = n
        part[PART_LISTS] = n
    maxima[n_blocks:] = 0
    bounds[n_blocks:] = 0
    bound_rows(seg.block_max, plan, bounds[:n_blocks], n_lists, n, shift, options)
    block_maxima(acc, live, part[PART_RANGE] * size, block_size, maxima, bounds)


@inlined_kernel
def fill_parts(segments, live, work, n_parts, everywhere, shift, stats, options):  # type: ignore[no-untyped-def]
    """Fill the parts of a group, see `fill_part`; returns the rows that are left to add."""
    n_rows = np.int64(0)
    ask_part(segments, work, 0)
    for p in range(n_parts):
        if p + 1 < n_parts:
            ask_part(segments, work, p + 1)
        part = work.parts[p]
        s = part[PART_SEGMENT]
        fill_part(
            segments[s], work.plans[p], part, work, words_of(live, s), everywhere, shift, stats,
            options,
        )  # fmt: skip
        n_rows += part[PART_TERMS] - part[PART_LISTS]
    return n_rows
