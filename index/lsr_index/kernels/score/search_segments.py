"""The range loop: one query over the segments of an index, the best ranges of each first.

Small ranges, of a large segment or of many small ones, are searched in groups. In each range the
posting lists are scattered into accumulators; the contributions of dense rows are bounded block by
block. The most promising blocks of the group are evaluated for an initial threshold, and only
blocks whose upper bound reaches it get their rows added, sixteen documents at a time; where such
blocks are many, the rows are added to the whole range, a linear pass in vector registers. Hits are
selected once for a group, so many small ranges cost little more than a large one.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import contribution, shift_of, top_of
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import int64_at, segment_at
from lsr_index.kernels.score.bounds import bound_threshold, kth_impact_threshold, order_ranges
from lsr_index.kernels.score.evaluate_ranges import evaluate_parts
from lsr_index.kernels.score.filtered_postings import has_lists, search_filtered_postings
from lsr_index.kernels.score.initial_threshold import estimate_threshold, kth_block_bound
from lsr_index.kernels.score.range_group import add_part, padded_blocks
from lsr_index.kernels.score.scatter import scatter_parts
from lsr_index.kernels.score.terms import find_terms
from lsr_index.kernels.structs import (
    ACC_BOUNDS,
    ACC_MAXIMA,
    GROUP_SLOTS,
    MAX_PARTS,
    N_BLOCKS,
    N_RANGES,
    N_TERMS,
    QUERY_TERM,
    QUERY_WEIGHT,
    RANGE_BOUND,
    RANGE_ORDER,
    RANGE_SIZE,
)

# Cells of a row that are added in the time of one scattered posting.
_CELLS_PER_POSTING = 16
# Evaluating a block for an initial threshold costs so many additions of a row to a listed block.
_COPY_COST = 3


@kernel
def must_stop(stats, options, cancel):
    """Whether the search is cancelled, or has reached ``max_work``."""
    spent = stats.postings + stats.cells // _CELLS_PER_POSTING
    return cancel[0] != 0 or 0 < options.max_work <= spent


@kernel
def leave_out_segment(found, n, shift, stats):
    """Record the upper bound of the scores of a segment that is not searched."""
    bound = np.int64(0)
    for i in range(n):
        bound += contribution(255, found[i].weight, shift)
    stats.cut = 1
    stats.unseen = max(stats.unseen, bound)


@kernel
def find_terms_of_segments(segments, live, n_terms, work, found, n_found):
    """Find the terms of a query in all segments; fills ``found`` and ``n_found``, by segment.

    All segments first: the first reads of each are prefetched during the lookup in others. ``work``
    holds the query in ``QUERY_TERM`` and ``QUERY_WEIGHT``. Returns the number of blocks of all
    segments, -1 where filtered posting lists lack a term.
    """
    scratch, n_all_blocks = work.scratch, np.int64(0)
    for s in range(segments.shape[0]):
        seg = segment_at(segments[s])
        n_all_blocks += seg.sizes[N_RANGES] * seg.sizes[N_BLOCKS]
        n_found[s] = find_terms(
            segments[s], scratch[QUERY_TERM], scratch[QUERY_WEIGHT], n_terms, found[s]
        )
        if live[s].lists != 0:
            addresses = int64_at(live[s].lists, seg.sizes[N_TERMS])
            if not has_lists(addresses, seg.counts, found[s], n_found[s]):
                return np.int64(-1)
    return n_all_blocks


@kernel
def search_filtered_segments(segments, live, found, n_found, work, keys, stats, options, cancel):
    """Search the segments that have filtered posting lists, see `filtered_postings`."""
    for s in range(segments.shape[0]):
        if live[s].lists == 0 or n_found[s] == 0:
            continue
        if must_stop(stats, options, cancel):
            leave_out_segment(found[s], n_found[s], shift_of(work.acc), stats)
            continue
        search_filtered_postings(
            segments[s], live[s], found[s], n_found[s], work, keys, stats, options
        )


@kernel
def begin_segment(table, live, found, n, work, threshold, options):
    """Order the ranges of a segment; returns the threshold, raised by its stored impacts.

    ``RANGE_ORDER`` and ``RANGE_BOUND`` of ``work`` are filled.
    """
    shift = shift_of(work.acc)
    if options.kth_impacts != 0 and live.n_words == 0:
        threshold = max(threshold, kth_impact_threshold(table, found, n, options.k, shift))
    order_ranges(table, found, n, shift, work.scratch)
    return threshold


@kernel
def search_group(
    segments, live, work, n_parts, n_blocks, n_all_blocks, threshold, keys, stats, options
):
    """Search the parts of a group, which ``work`` holds; returns the threshold after it.

    ``n_blocks`` and ``n_all_blocks`` are the blocks of the group and of all segments.
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


@kernel
def search_ranges(segments, live, found, n_found, n_all_blocks, work, keys, stats, options, cancel):
    """Search the segments without filtered posting lists by range; returns the threshold."""
    scratch, threshold = work.scratch, max(np.int64(1), stats.threshold)
    n_parts, n_blocks, block_size = np.int64(0), np.int64(0), np.int64(0)
    for s in range(segments.shape[0]):
        n = n_found[s]
        if live[s].lists != 0 or live[s].n_docs == 0 or n == 0:
            continue
        sizes = segment_at(segments[s]).sizes
        size, need = sizes[RANGE_SIZE] // sizes[N_BLOCKS], padded_blocks(sizes)
        threshold = begin_segment(segments[s], live[s], found[s], n, work, threshold, options)
        for at in range(sizes[N_RANGES]):
            full = n_parts == MAX_PARTS or (n_blocks + need) * size > GROUP_SLOTS
            if n_parts > 0 and (full or size != block_size or options.max_work > 0):
                threshold = search_group(
                    segments, live, work, n_parts, n_blocks, n_all_blocks, threshold, keys, stats,
                    options,
                )  # fmt: skip
                n_parts, n_blocks = np.int64(0), np.int64(0)
            r = scratch[RANGE_ORDER, at]
            bound = scratch[RANGE_BOUND, r]
            if bound < bound_threshold(threshold, options.alpha, top_of(work.acc)):
                break  # the bounds of later ranges are no higher
            if must_stop(stats, options, cancel):
                stats.cut = 1
                stats.unseen = max(stats.unseen, bound)
                break
            stats.ranges += 1
            add_part(segments[s], work, found[s], s, r, n, n_parts, n_blocks)
            n_parts, n_blocks, block_size = n_parts + 1, n_blocks + need, size
    if n_parts > 0:
        threshold = search_group(
            segments, live, work, n_parts, n_blocks, n_all_blocks, threshold, keys, stats, options
        )
    return threshold


@kernel
def search_segments(segments, live, n_terms, work, keys, found, n_found, stats, options, cancel):
    """Search the segments for the query in ``work``; False where filtered lists lack a term."""
    n_all_blocks = find_terms_of_segments(segments, live, n_terms, work, found, n_found)
    if n_all_blocks < 0:
        return False
    search_filtered_segments(segments, live, found, n_found, work, keys, stats, options, cancel)
    stats.threshold = search_ranges(
        segments, live, found, n_found, n_all_blocks, work, keys, stats, options, cancel
    )
    return True
