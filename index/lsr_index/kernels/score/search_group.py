"""Search of a group of ranges: those of small segments, and small ones of a large segment.

In each range the posting lists are scattered into accumulators; what the dense rows can add is
bounded block by block (`lsr_index.kernels.score.scatter`). The most promising blocks are evaluated
for an initial threshold (`lsr_index.kernels.score.initial_threshold`), and only blocks whose upper
bound reaches it get their rows added, sixteen documents at a time; where such blocks are many the
rows are added to the whole range, a linear pass in vector registers
(`lsr_index.kernels.score.evaluate_ranges`).

The most promising blocks are chosen among those of all ranges of a group, and hits are selected
once, so that many small ranges cost little more than a large one
(`lsr_index.kernels.score.range_group`).
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.score.evaluate_ranges import evaluate_parts
from lsr_index.kernels.score.initial_threshold import estimate_threshold, kth_block_bound
from lsr_index.kernels.score.scatter import scatter_parts
from lsr_index.kernels.structs import ACC_BOUNDS, ACC_MAXIMA

# Evaluating a block for an initial threshold costs so many additions of a row to a listed block.
_COPY_COST = 3


@kernel
def search_group(
    segments, live, work, n_parts, n_blocks, n_all_blocks, threshold, keys, stats, options
):
    """Search the parts of a group; returns the threshold after it.

    Parameters
    ----------
    segments : (n_segments, 15, 2) int64
        Address tables, see `lsr_index.kernels.pointers.segment_at`.
    live : (n_segments,) LIVE records
    work : Workspace
        ``parts``, ``cursors`` and ``cursor_order`` say what is to be searched.
    n_parts, n_blocks, n_all_blocks : int64
        Parts, and blocks of the group and of all segments.
    threshold : int64
    keys : (> k,) uint64
        Top-k buffer.
    stats, options : STATS record, OPTIONS record

    Returns
    -------
    int64
    """
    k = options.k
    fresh = options.estimate != 0 and stats.count < k <= n_blocks
    # Where a good part of the blocks holds hits, looking for them does not pay.
    cost = options.block_cost if options.range_scan != 0 else np.int64(1)
    share = (n_blocks if fresh else n_all_blocks) // cost
    whole_rows = options.split == 0 or 2 * k * _COPY_COST > share
    n_rows = scatter_parts(segments, live, work, n_parts, whole_rows, stats, options)
    n_initial = np.int64(0)
    if fresh and n_rows > 0:
        n_wanted = min(2 * k, max(k, n_blocks // cost // _COPY_COST))
        n_initial, threshold = estimate_threshold(
            segments, live, work, n_parts, n_blocks, k, n_wanted, threshold, stats
        )
    elif fresh:
        maxima, bounds = work.acc[ACC_MAXIMA, :n_blocks], work.acc[ACC_BOUNDS, :n_blocks]
        threshold = max(threshold, kth_block_bound(work, maxima, bounds, k))
    return evaluate_parts(
        segments, live, work, n_parts, n_rows, n_initial, threshold, keys, stats, options
    )
