"""Initial threshold: copies of the most promising blocks are evaluated first."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import segment_at
from lsr_index.kernels.score.evaluate_blocks import (
    add_row_to_copies,
    candidate_blocks,
    prefetch_blocks,
    zero_deleted,
)
from lsr_index.kernels.score.range_group import end_of_blocks, live_bitmap, padded_blocks
from lsr_index.kernels.score.scan import group_maxima
from lsr_index.kernels.simd.masks import MASK
from lsr_index.kernels.structs import (
    ACC_BOUNDS,
    ACC_COPIES,
    ACC_GROUPS,
    ACC_MAXIMA,
    ACC_SCORES,
    CAND_INITIAL,
    N_BLOCKS,
    RANGE_SIZE,
)
from lsr_index.kernels.topk import kth_largest


@kernel
def kth_block_bound(work, maxima, bounds, k):
    """A value that ``maximum + bound`` of at least ``k`` blocks reaches, near the largest such.

    Selection among the maxima of a few groups of blocks is cheaper than among all blocks.
    """
    width = min(np.int64(maxima.size), (4 * k + MASK - 1) // MASK * MASK)
    groups = work.acc[ACC_GROUPS]
    group_maxima(maxima, bounds, groups, width)
    return kth_largest(groups, width, k)


@kernel
def estimate_threshold(segments, live, work, n_parts, n_blocks, k, n_wanted, threshold, stats):
    """Evaluate copies of the most promising blocks; their k-th score raises the threshold.

    Returns the number of blocks, ``n_wanted`` to about twice as many, listed in ``CAND_INITIAL``,
    and the threshold.
    """
    maxima, bounds = work.acc[ACC_MAXIMA, :n_blocks], work.acc[ACC_BOUNDS, :n_blocks]
    copies, blocks = work.acc[ACC_COPIES], work.candidates[CAND_INITIAL]
    level = max(np.int64(1), kth_block_bound(work, maxima, bounds, n_wanted))
    n_found = min(candidate_blocks(maxima, bounds, level, 2 * n_wanted, blocks, 0), 2 * n_wanted)
    begin, n_docs = np.int64(0), np.int64(0)
    for p in range(n_parts):
        part = work.parts[p]
        s = part.segment
        sizes = segment_at(segments[s]).sizes
        end = end_of_blocks(blocks, begin, n_found, part.first_block + padded_blocks(sizes))
        if end > begin:
            block_size = sizes[RANGE_SIZE] // sizes[N_BLOCKS]
            evaluate_copies(
                segments[s], work, work.cursors[p], work.cursor_order[p], part,
                live_bitmap(live[s]), copies[begin * block_size :], blocks[begin:end], stats,
            )  # fmt: skip
            n_docs += (end - begin) * block_size
        begin = end
    for i in range(n_found):
        maxima[blocks[i]] = 0
        bounds[blocks[i]] = 0
    if n_docs >= k:
        threshold = max(threshold, kth_largest(copies, n_docs, k))
    return n_found, threshold


@kernel
def evaluate_copies(table, work, cursors, order, part, live, copies, blocks, stats):
    """Evaluate copies of blocks of a part; deleted documents score 0 in them.

    ``blocks``, (m,) uint32, are numbers in the group; ``copies``, (>= m * block_size,), is filled.
    """
    seg = segment_at(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part.first_block
    block_size, n_lists, n = size // n_blocks, part.n_lists, part.n_terms
    acc = work.acc[ACC_SCORES]
    origin = first * block_size
    for i in range(n_lists, n):
        row = cursors[order[i]].row * size - origin
        prefetch_blocks(seg.rows, row, block_size, blocks, blocks.size)
    for i in range(blocks.size):
        b = np.int64(blocks[i]) * block_size
        copies[i * block_size : (i + 1) * block_size] = acc[b : b + block_size]
    for i in range(n_lists, n):
        cursor = cursors[order[i]]
        row, weight = cursor.row * size - origin, np.uint32(cursor.weight)
        add_row_to_copies(copies, seg.rows, row, block_size, blocks, blocks.size, weight)
    stats.blocks += blocks.size * (n - n_lists)
    zero_deleted(copies, live, part.range * size - origin, block_size, blocks, blocks.size)
