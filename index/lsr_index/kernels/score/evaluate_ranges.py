"""The parts of a group with their rows added wherever these matter, and their documents."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import inlined_kernel, kernel
from lsr_index.kernels.pointers import open_view
from lsr_index.kernels.score.bounds import scaled
from lsr_index.kernels.score.evaluate_blocks import (
    add_row_to_blocks,
    gather,
    gather_tiles,
    number_documents,
    offer,
    prefetch_blocks,
    surviving,
)
from lsr_index.kernels.score.range_group import list_end, padded_blocks, words_of
from lsr_index.kernels.score.scan import add_row, block_maxima, take_bounds
from lsr_index.kernels.structs import (
    ACC,
    BLOCKS,
    BOUNDS,
    LIVE_BASE,
    MAXIMA,
    N_BLOCKS,
    OPT_ALPHA,
    OPT_COMPLETION_COST,
    OPT_FINISH,
    OPT_K,
    ORDER,
    PART_FIRST,
    PART_LISTS,
    PART_RANGE,
    PART_SEGMENT,
    PART_TERMS,
    PROBED,
    RANGE_SIZE,
    ROW,
    SCORES,
    SLOTS,
    STAT_BLOCKS,
    STAT_CELLS,
    STAT_FINISHED,
    TILES,
    WEIGHT,
)
from lsr_index.kernels.topk.buffer import settle


@kernel
def add_row_to_range(table, work, part, live, row, cell, weight, shift):  # type: ignore[no-untyped-def]
    """Add a row to all of a part, and take its bounds away.

    Parameters
    ----------
    table, work, part, live
        As in `lsr_index.kernels.score.scatter.fill_part`.
    row, cell : int64
        Where the row and its block maxima begin.
    weight, shift : uint32
    """
    seg = open_view(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part[PART_FIRST]
    block_size, past = size // n_blocks, first + padded_blocks(seg.sizes)
    acc = work.lanes[ACC, first * block_size : first * block_size + size]
    maxima, bounds = work.lanes[MAXIMA, first:past], work.lanes[BOUNDS, first:past]
    add_row(acc, seg.rows, row, weight)
    take_bounds(bounds[:n_blocks], seg.block_max, cell, weight, shift)
    block_maxima(acc, live, part[PART_RANGE] * size, block_size, maxima, bounds)


@kernel
def add_rows(table, work, plan, part, live, probed, shift, level, stats, options):  # type: ignore[no-untyped-def]
    """Add the rows of a part wherever they can matter, those with the highest peaks first.

    While many blocks may reach the level, a row is added to the whole range; then only to the
    blocks that may.

    Parameters
    ----------
    table, work, plan, part, live
        As in `lsr_index.kernels.score.scatter.fill_part`.
    probed : (n,) uint32
        Blocks that are complete elsewhere.
    shift : uint32
    level : int64
    stats, options
        As in `lsr_index.kernels.score.search_group.search_group`.

    Returns
    -------
    int64
        Blocks left, listed in ``BLOCKS``; their accumulators are complete.
    """
    seg = open_view(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part[PART_FIRST]
    block_size, past = size // n_blocks, first + padded_blocks(seg.sizes)
    origin, first_slot = first * block_size, part[PART_RANGE] * size
    maxima, bounds = work.lanes[MAXIMA], work.lanes[BOUNDS]
    mine, my_bounds = maxima[first:past], bounds[first:past]
    blocks = work.words[BLOCKS]
    # More blocks than this cost more to add a row to than the whole range does.
    many = n_blocks // options[OPT_COMPLETION_COST] if options[OPT_FINISH] != 0 else n_blocks
    cells_before = stats[STAT_CELLS]
    n_found = surviving(mine, my_bounds, level, past, blocks, first)
    if n_found <= many:
        for i in range(part[PART_LISTS], part[PART_TERMS]):
            row = plan[ROW, plan[ORDER, i]] * size - origin
            prefetch_blocks(seg.rows, row, block_size, blocks, n_found)
    for i in range(part[PART_LISTS], part[PART_TERMS]):
        t = plan[ORDER, i]
        weight = np.uint32(plan[WEIGHT, t])
        row, cell = plan[ROW, t] * size, plan[ROW, t] * n_blocks
        if n_found <= many:
            prefetch_blocks(seg.rows, row - origin, block_size, blocks, n_found)
            stats[STAT_BLOCKS] += n_found
            n_found = add_row_to_blocks(
                work.lanes[ACC], live, first_slot - origin, seg.rows, row - origin, seg.block_max,
                cell - first, block_size, blocks, n_found, weight, shift, level, maxima, bounds,
            )  # fmt: skip
            continue
        add_row_to_range(table, work, part, live, row, cell, weight, shift)
        stats[STAT_CELLS] += size
        for j in range(probed.size):
            maxima[probed[j]] = 0
        n_found = surviving(mine, my_bounds, level, past, blocks, first)
    stats[STAT_FINISHED] += np.int64(stats[STAT_CELLS] > cells_before)
    return n_found


@kernel
def gather_part(table, work, part, live, base, tiles, probed, n_found, threshold, at):  # type: ignore[no-untyped-def]
    """Documents of a part that reach the threshold, written from place ``at`` on; returns the end.

    Parameters
    ----------
    table, work, part, live
        As in `lsr_index.kernels.score.scatter.fill_part`; ``SLOTS`` is filled with document
        numbers, ``SCORES`` with their scores.
    base : int64
        Number of the segment's first document.
    tiles : (>= m * block_size,) uint16 or uint32
        Copies of the blocks in ``probed``.
    probed : (m,) uint32
    n_found : int64
        Blocks listed in ``BLOCKS``.
    threshold, at : int64
    """
    seg = open_view(table)
    size, block_size = seg.sizes[RANGE_SIZE], seg.sizes[RANGE_SIZE] // seg.sizes[N_BLOCKS]
    first_slot = part[PART_RANGE] * size - part[PART_FIRST] * block_size
    slots, scores = work.words[SLOTS, at:], work.words[SCORES, at:]
    n = gather_tiles(tiles, block_size, probed, probed.size, threshold, slots, scores)
    n += gather(
        work.lanes[ACC], live, first_slot, block_size, work.words[BLOCKS], n_found, threshold,
        slots[n:], scores[n:],
    )  # fmt: skip
    number_documents(seg.slot_docs, slots, n, first_slot, base)
    return at + n


@inlined_kernel
def complete_parts(  # type: ignore[no-untyped-def]
    segments, live, work, n_parts, n_rows, n_probed, shift, threshold, top, keys, stats, options
):
    """Complete the parts of a group and offer their documents; returns the threshold.

    Parameters
    ----------
    segments, live, work, n_parts, shift, threshold, top, keys, stats, options
        As in `lsr_index.kernels.score.search_group.search_group`.
    n_rows, n_probed : int64
        Rows left to add, and blocks that are complete elsewhere.
    """
    k, n_hits, begin = options[OPT_K], np.int64(0), np.int64(0)
    level = scaled(threshold, options[OPT_ALPHA], top)
    for p in range(n_parts):
        part = work.parts[p]
        s = part[PART_SEGMENT]
        sizes, bitmap = open_view(segments[s]).sizes, words_of(live, s)
        end = list_end(work.words[PROBED], begin, n_probed, part[PART_FIRST] + padded_blocks(sizes))
        probed = work.words[PROBED, begin:end]
        tiles = work.lanes[TILES, begin * (sizes[RANGE_SIZE] // sizes[N_BLOCKS]) :]
        n_found = add_rows(
            segments[s], work, work.plans[p], part, bitmap, probed, shift, level, stats, options
        )
        n_hits = gather_part(
            segments[s], work, part, bitmap, live[s, LIVE_BASE], tiles, probed, n_found, threshold,
            n_hits,
        )  # fmt: skip
        begin = end
        if n_rows > 0 or p + 1 == n_parts:
            threshold = offer(work, n_hits, threshold, k, keys, stats)
            n_hits = np.int64(0)
            if p + 1 < n_parts:
                threshold = settle(keys, stats, k, threshold, work.key_scores)
                level = scaled(threshold, options[OPT_ALPHA], top)
    return settle(keys, stats, k, threshold, work.key_scores)
