"""The threshold that a search begins with: its most promising blocks, completed first."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import open_view
from lsr_index.kernels.score.evaluate_blocks import (
    add_row_to_tiles,
    prefetch_blocks,
    silence_dead,
    surviving,
)
from lsr_index.kernels.score.range_group import list_end, padded_blocks, words_of
from lsr_index.kernels.score.scan import group_maxima
from lsr_index.kernels.simd.masks import LANES
from lsr_index.kernels.structs import (
    ACC,
    BOUNDS,
    MAXIMA,
    N_BLOCKS,
    ORDER,
    PART_FIRST,
    PART_LISTS,
    PART_RANGE,
    PART_SEGMENT,
    PART_TERMS,
    POTENTIAL,
    PROBED,
    RANGE_SIZE,
    ROW,
    STAT_BLOCKS,
    TILES,
    WEIGHT,
)
from lsr_index.kernels.topk.select import kth_largest


@kernel
def kth_group(work, maxima, bounds, k):  # type: ignore[no-untyped-def]
    """A score that the ``maximum + bound`` of at least ``k`` blocks reaches, near the largest such.

    Selecting among a few maxima of groups of blocks is cheaper than among all blocks.
    """
    width = min(np.int64(maxima.size), (4 * k + LANES - 1) // LANES * LANES)
    groups = work.lanes[POTENTIAL]
    group_maxima(maxima, bounds, groups, width)
    return kth_largest(groups, width, k)


@kernel
def probe(segments, live, work, n_parts, n_blocks, k, n_wanted, threshold, stats):  # type: ignore[no-untyped-def]
    """Complete copies of the most promising blocks; their documents raise the threshold.

    Returns
    -------
    (int64, int64)
        Blocks probed, about ``n_wanted`` and at most twice as many, listed in ``PROBED``, and the
        threshold.
    """
    maxima, bounds = work.lanes[MAXIMA, :n_blocks], work.lanes[BOUNDS, :n_blocks]
    tiles, blocks = work.lanes[TILES], work.words[PROBED]
    level = max(np.int64(1), kth_group(work, maxima, bounds, n_wanted))
    n_found = min(surviving(maxima, bounds, level, 2 * n_wanted, blocks, 0), 2 * n_wanted)
    begin, n_docs = np.int64(0), np.int64(0)
    for p in range(n_parts):
        part = work.parts[p]
        s = part[PART_SEGMENT]
        sizes = open_view(segments[s]).sizes
        end = list_end(blocks, begin, n_found, part[PART_FIRST] + padded_blocks(sizes))
        if end > begin:
            block_size = sizes[RANGE_SIZE] // sizes[N_BLOCKS]
            complete_tiles(
                segments[s], work, work.plans[p], part, words_of(live, s),
                tiles[begin * block_size :], blocks[begin:end], stats,
            )  # fmt: skip
            n_docs += (end - begin) * block_size
        begin = end
    for i in range(n_found):
        maxima[blocks[i]] = 0
        bounds[blocks[i]] = 0
    if n_docs >= k:
        threshold = max(threshold, kth_largest(tiles, n_docs, k))
    return n_found, threshold


@kernel
def complete_tiles(table, work, plan, part, live, tiles, blocks, stats):  # type: ignore[no-untyped-def]
    """Complete copies of some blocks of a part, in which the dead are silent.

    Parameters
    ----------
    table, work, plan, part, live
        As in `lsr_index.kernels.score.scatter.fill_part`.
    tiles : (>= m * block_size,) uint16 or uint32
        Filled with the blocks.
    blocks : (m,) uint32
        Numbers in the group.
    stats : (N_STATS,) int64
    """
    seg = open_view(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part[PART_FIRST]
    block_size, n_lists, n = size // n_blocks, part[PART_LISTS], part[PART_TERMS]
    acc = work.lanes[ACC]
    origin = first * block_size
    for i in range(n_lists, n):
        row = plan[ROW, plan[ORDER, i]] * size - origin
        prefetch_blocks(seg.rows, row, block_size, blocks, blocks.size)
    for i in range(blocks.size):
        b = np.int64(blocks[i]) * block_size
        tiles[i * block_size : (i + 1) * block_size] = acc[b : b + block_size]
    for i in range(n_lists, n):
        t = plan[ORDER, i]
        row, weight = plan[ROW, t] * size - origin, np.uint32(plan[WEIGHT, t])
        add_row_to_tiles(tiles, seg.rows, row, block_size, blocks, blocks.size, weight)
    stats[STAT_BLOCKS] += blocks.size * (n - n_lists)
    first_slot = part[PART_RANGE] * size - origin
    silence_dead(tiles, live, first_slot, block_size, blocks, blocks.size)
