"""Ranges searched together: those of small segments, and small ones of a large segment.

In a range the lists are scattered into accumulators; what the rows can add is bounded block by
block (`lsr_index.kernels.score.scatter`). The most promising blocks are completed for a threshold
(`lsr_index.kernels.score.initial_threshold`), and only blocks that may hold a result get their rows
added, sixteen documents at a time; where such blocks are many the rows are added to the whole
range, which is a linear pass in vector registers (`lsr_index.kernels.score.evaluate_ranges`).

The most promising blocks are those of all parts of a group (`lsr_index.kernels.score.range_group`),
and hits are selected once, so that many small ranges cost little more than a large one.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.score.evaluate_ranges import complete_parts
from lsr_index.kernels.score.initial_threshold import kth_group, probe
from lsr_index.kernels.score.scatter import fill_parts
from lsr_index.kernels.structs import (
    BOUNDS,
    MAXIMA,
    OPT_COMPLETION_COST,
    OPT_ESTIMATE,
    OPT_FINISH,
    OPT_K,
    OPT_SPLIT,
    STAT_COUNT,
)

# Probing a block costs as much as this many additions of a row to a listed block.
_PROBE_COST = 3


@kernel
def search_group(  # type: ignore[no-untyped-def]
    segments, live, work, n_parts, n_blocks, n_all_blocks, shift, threshold, top, keys, stats,
    options,
):  # fmt: skip
    """Search the parts of a group; returns the threshold after it.

    Parameters
    ----------
    segments, live, options
        As in `lsr_index.kernels.score.search.search_batch`.
    work : Workspace
        ``parts`` and ``plans`` say what is to be searched.
    n_parts, n_blocks, n_all_blocks : int64
        Parts, their blocks, and the blocks of all segments.
    shift : uint32
    threshold : int64
    top : uint32
    keys, stats : (> k,) uint64, (N_STATS,) int64
        The running result.

    Returns
    -------
    int64
    """
    k = options[OPT_K]
    fresh = options[OPT_ESTIMATE] != 0 and stats[STAT_COUNT] < k <= n_blocks
    # Where a good part of the blocks holds results, looking for them does not pay.
    cost = options[OPT_COMPLETION_COST] if options[OPT_FINISH] != 0 else np.int64(1)
    share = (n_blocks if fresh else n_all_blocks) // cost
    everywhere = options[OPT_SPLIT] == 0 or 2 * k * _PROBE_COST > share
    n_rows = fill_parts(segments, live, work, n_parts, everywhere, shift, stats, options)
    n_probed = np.int64(0)
    if fresh and n_rows > 0:
        n_wanted = min(2 * k, max(k, n_blocks // cost // _PROBE_COST))
        n_probed, threshold = probe(
            segments, live, work, n_parts, n_blocks, k, n_wanted, threshold, stats
        )
    elif fresh:
        maxima, bounds = work.lanes[MAXIMA, :n_blocks], work.lanes[BOUNDS, :n_blocks]
        threshold = max(threshold, kth_group(work, maxima, bounds, k))
    return complete_parts(
        segments, live, work, n_parts, n_rows, n_probed, shift, threshold, top, keys, stats,
        options,
    )  # fmt: skip
