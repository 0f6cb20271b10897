"""The range loop: one query over the segments of an index, the best ranges of each first.

Ranges are gathered into groups of small ones, see `lsr_index.kernels.score.search_group`.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import contribution, shift_of, top_of
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import int64_at, segment_at
from lsr_index.kernels.score.bounds import bound_threshold, kth_impact_threshold, order_ranges
from lsr_index.kernels.score.filtered_postings import has_lists, search_filtered_postings
from lsr_index.kernels.score.range_group import add_part, padded_blocks
from lsr_index.kernels.score.search_group import search_group
from lsr_index.kernels.score.terms import find_terms
from lsr_index.kernels.structs import (
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


@kernel
def must_stop(stats, options, cancel):
    """Whether the search is cancelled, or has done all the work it may."""
    spent = stats.postings + stats.cells // _CELLS_PER_POSTING
    return cancel[0] != 0 or 0 < options.max_work <= spent


@kernel
def leave_out_segment(found, n, shift, stats):
    """Record what a segment that is not searched could have scored."""
    bound = np.int64(0)
    for i in range(n):
        bound += contribution(255, found[i].weight, shift)
    stats.cut = 1
    stats.unseen = max(stats.unseen, bound)


@kernel
def find_terms_of_segments(segments, live, n_terms, work, found, n_found):
    """Find the terms of a query in all segments.

    All segments first: what the search of each reads is prefetched while others are looked at.

    Parameters
    ----------
    segments, live
        As in `lsr_index.kernels.score.search_group.search_group`.
    n_terms : int64
    work : Workspace
        ``QUERY_TERM`` and ``QUERY_WEIGHT`` hold the query.
    found : (n_segments, >= n_terms) TERM records
        Filled.
    n_found : (n_segments,) int64
        Filled: terms found in each segment.

    Returns
    -------
    int64
        Blocks of all segments, -1 where filtered posting lists lack a term.
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

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.segment_at`.
    live : LIVE record
    found : (>= n,) TERM records
    n : int64
    work : Workspace
        ``RANGE_ORDER`` and ``RANGE_BOUND`` are filled.
    threshold : int64
    options : OPTIONS record
    """
    shift = shift_of(work.acc)
    if options.kth_impacts != 0 and live.n_words == 0:
        threshold = max(threshold, kth_impact_threshold(table, found, n, options.k, shift))
    order_ranges(table, found, n, shift, work.scratch)
    return threshold


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
    """Search the segments for one query, prepared in ``work``.

    Returns
    -------
    bool
        False: filtered posting lists lack a term.
    """
    n_all_blocks = find_terms_of_segments(segments, live, n_terms, work, found, n_found)
    if n_all_blocks < 0:
        return False
    search_filtered_segments(segments, live, found, n_found, work, keys, stats, options, cancel)
    stats.threshold = search_ranges(
        segments, live, found, n_found, n_all_blocks, work, keys, stats, options, cancel
    )
    return True
