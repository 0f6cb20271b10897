"""Exact top-k of a batch of queries over the segments of an index: the range loop.

Frequent terms are stored as dense rows of impacts, the others as posting lists. In a range the
lists are scattered into accumulators; what the rows can add is bounded block by block, and only
blocks that may hold a result get their rows added, sixteen documents at a time. Where such blocks
are many the rows are added to the whole range, which is a linear pass in vector registers.
Block-max bounds follow [Ding and Suel 2011], the split by the sums of bounds MaxScore [Turtle and
Flood 1995].

Threshold rule: a document is dropped only if its upper bound is *below* the threshold, a score that
``k`` live documents are known to reach; a tie with the k-th score is decided by document number.
"""

from __future__ import annotations

import numpy as np

from index.kernels.address import longs_at, open_frame, open_view
from index.kernels.group import padded_blocks, search_group, take_part
from index.kernels.jit import kernel
from index.kernels.narrowed import known_terms, search_narrowed
from index.kernels.plan import (
    contribution,
    find_terms,
    order_ranges,
    scaled,
    stored_threshold,
)
from index.kernels.prepare import BAD_OFFSETS, N_FAULTS, prepare_query
from index.kernels.queue import take_next
from index.kernels.results import rank
from index.kernels.views import (
    COUNTERS,
    GROUP_SLOTS,
    HISTOGRAM,
    KEY_ROOM,
    LIVE_DOCS,
    LIVE_LISTS,
    LIVE_WORDS,
    LOCAL,
    MAX_PARTS,
    N_BLOCKS,
    N_RANGES,
    N_STATS,
    N_TERMS,
    OPT_ALPHA,
    OPT_K,
    OPT_KTH,
    OPT_MAX_WORK,
    QUERY_TERM,
    QUERY_WEIGHT,
    RANGE_PEAK,
    RANGE_SIZE,
    RANGES,
    STAT_CELLS,
    STAT_CUT,
    STAT_FACTOR,
    STAT_POSTINGS,
    STAT_RANGES,
    STAT_THRESHOLD,
    STAT_UNSEEN,
    WEIGHT,
    Workspace,
)

# Cells of a row that are added in the time of one scattered posting.
_CELLS_PER_POSTING = 16
# What `search_batch` returns where the lists of a filter lack a term of the query.
UNKNOWN_LISTS = -1


@kernel
def at_an_end(stats, options, cancel):  # type: ignore[no-untyped-def]
    """Whether the search is to stop here, or has done all the work it may."""
    spent = stats[STAT_POSTINGS] + stats[STAT_CELLS] // _CELLS_PER_POSTING
    return cancel[0] != 0 or 0 < options[OPT_MAX_WORK] <= spent


@kernel
def cut_off(found, n, shift, stats):  # type: ignore[no-untyped-def]
    """Leave a segment out of a search that is at an end."""
    peak = np.int64(0)
    for i in range(n):
        peak += contribution(255, found[1, i], shift)
    stats[STAT_CUT] = 1
    stats[STAT_UNSEEN] = max(stats[STAT_UNSEEN], peak)


@kernel
def search_narrow_segments(
    segments, live, found, n_found, work, keys, stats, options, shift, cancel
):  # type: ignore[no-untyped-def]
    """Search the segments that have lists of what may appear, see `index.kernels.narrowed`."""
    for s in range(segments.shape[0]):
        if live[s, LIVE_LISTS] == 0 or n_found[s] == 0:
            continue
        if at_an_end(stats, options, cancel):
            cut_off(found[s], n_found[s], shift, stats)
            continue
        search_narrowed(
            segments[s], live[s], found[s], n_found[s], work, keys, stats, options, shift
        )


@kernel
def search_segments(  # type: ignore[no-untyped-def]
    segments, live, n_terms, work, keys, found, n_found, stats, options, shift, top, cancel
):
    """Search the segments for one query, prepared in ``work``.

    Returns
    -------
    bool
        False: the lists of a filter lack a term.
    """
    k, alpha, longs = options[OPT_K], options[OPT_ALPHA], work.longs
    n_all_blocks = np.int64(0)
    # All segments first: what a search reads of each is on its way while others are looked at.
    for s in range(segments.shape[0]):
        seg = open_view(segments[s])
        n_all_blocks += seg.sizes[N_RANGES] * seg.sizes[N_BLOCKS]
        n_found[s] = find_terms(
            segments[s], longs[QUERY_TERM], longs[QUERY_WEIGHT], n_terms, found[s]
        )
        if live[s, LIVE_LISTS] != 0:
            lists = longs_at(live[s, LIVE_LISTS], seg.sizes[N_TERMS])
            if not known_terms(lists, seg.counts, found[s], n_found[s]):
                return False
    search_narrow_segments(
        segments, live, found, n_found, work, keys, stats, options, shift, cancel
    )
    threshold = max(np.int64(1), stats[STAT_THRESHOLD])
    n_parts, n_blocks, block_size = np.int64(0), np.int64(0), np.int64(0)
    for s in range(segments.shape[0]):
        n = n_found[s]
        if live[s, LIVE_LISTS] != 0 or live[s, LIVE_DOCS] == 0 or n == 0:
            continue
        seg = open_view(segments[s])
        size, need = seg.sizes[RANGE_SIZE] // seg.sizes[N_BLOCKS], padded_blocks(seg.sizes)
        longs[LOCAL, :n] = found[s, 0, :n]
        longs[WEIGHT, :n] = found[s, 1, :n]
        if options[OPT_KTH] != 0 and live[s, LIVE_WORDS] == 0:
            threshold = max(threshold, stored_threshold(segments[s], longs, n, k, shift))
        order_ranges(segments[s], longs, n, shift)
        for at in range(seg.sizes[N_RANGES]):
            full = n_parts == MAX_PARTS or (n_blocks + need) * size > GROUP_SLOTS
            if n_parts > 0 and (full or size != block_size or options[OPT_MAX_WORK] > 0):
                threshold = search_group(
                    segments, live, work, n_parts, n_blocks, n_all_blocks, shift, threshold, top,
                    keys, stats, options,
                )  # fmt: skip
                n_parts, n_blocks = np.int64(0), np.int64(0)
            r = longs[RANGES, at]
            peak = longs[RANGE_PEAK, r]
            if peak < scaled(threshold, alpha, top):
                break  # the later ranges can reach even less
            if at_an_end(stats, options, cancel):
                stats[STAT_CUT] = 1
                stats[STAT_UNSEEN] = max(stats[STAT_UNSEEN], peak)
                break
            stats[STAT_RANGES] += 1
            take_part(segments[s], work, s, r, n, n_parts, n_blocks, shift)
            n_parts, n_blocks, block_size = n_parts + 1, n_blocks + need, size
    if n_parts > 0:
        threshold = search_group(
            segments, live, work, n_parts, n_blocks, n_all_blocks, shift, threshold, top, keys,
            stats, options,
        )  # fmt: skip
    stats[STAT_THRESHOLD] = threshold
    return True


@kernel
def search_batch(  # type: ignore[no-untyped-def]
    segments, live, frame, lanes, indptr, terms, weights, queue, docs, scores, floats, counters,
    options, cancel, beta, scale,
):  # fmt: skip
    """Search the segments of an index for queries of a batch.

    Several threads may answer a batch together: each calls this with scratch of its own and
    everything else the same, and takes one query after the other from the queue.

    Parameters
    ----------
    segments : (n_segments, 15, 2) int64
        Address tables of the segments' views.
    live : (n_segments, N_LIVE) int64
        Which documents may appear, see `index.searchers.LiveBitmaps`.
    frame : (8, 2) int64
        Addresses and lengths of scratch, see `index.workspace.Frame`.
    lanes : (N_LANES, n) uint16 or uint32
        Scratch; its type decides the accumulator width.
    indptr : (n_queries + 1,) int64
    terms, weights : (nnz,) uint32, float32
        Queries as CSR, of one length; their contents are checked here.
    queue : (1 + n,) int64
        Number of queries taken, then the queries to answer. Empty: the first query is answered.
    docs, scores, floats : (n_queries * k,) int64, int64, float64
        Filled for the queries answered: hits best first, then -1 and 0.
    counters : (n_queries * N_STATS,) int64
        Filled for the queries answered.
    options : (N_OPTIONS,) int64
    cancel : (1,) uint8
        Looked at before every range; non-zero ends the search.
    beta : float64
        Share of the query terms kept.
    scale : float64
        Document scale.

    Returns
    -------
    int64
        0, or a fault of `prepare_query` plus `N_FAULTS` times the query it is in, or
        `UNKNOWN_LISTS`. The queue is at its end then.
    """
    narrow = lanes.itemsize == 2
    shift = np.uint32(8 if narrow else 0)
    top = np.uint32(1 << 15 if narrow else 1 << 31)
    limit = np.int64((1 << 15) - 1 if narrow else (1 << 23) - 1)
    words, longs, keys, key_scores, found, n_found, plans, parts = open_frame(
        frame, segments.shape[0]
    )
    work = Workspace(lanes, words, longs, key_scores, plans, parts)
    k, n_queries = options[OPT_K], max(np.int64(1), queue.size - 1)
    keys = keys[: k + max(k, np.int64(KEY_ROOM))]
    stats = longs[COUNTERS, :N_STATS]
    fault = np.int64(0)
    while True:
        q = np.int64(0)
        if queue.size != 0:
            at = take_next(queue)
            if at >= n_queries:
                return fault
            q = queue[1 + at]
        begin, end = indptr[q], indptr[q + 1]
        stats[:] = 0
        if begin < 0 or end > terms.size or not 0 <= end - begin <= longs.shape[1]:
            fault = BAD_OFFSETS + N_FAULTS * q
            break
        reason, n_terms = prepare_query(
            terms[begin:end], weights[begin:end], limit, beta, longs, stats
        )
        if reason != 0:
            fault = reason + N_FAULTS * q
            break
        if not search_segments(
            segments, live, n_terms, work, keys, found, n_found, stats, options, shift, top, cancel
        ):
            fault = np.int64(UNKNOWN_LISTS)
            break
        unit = np.float64(np.int64(1) << np.int64(shift)) / stats.view(np.float64)[STAT_FACTOR]
        rank(
            keys, stats, k, scale * unit, longs[HISTOGRAM], docs[q * k : (q + 1) * k],
            scores[q * k : (q + 1) * k], floats[q * k : (q + 1) * k],
        )  # fmt: skip
        counters[q * N_STATS : (q + 1) * N_STATS] = stats
        if queue.size == 0:
            return fault
    if queue.size != 0:
        queue[0] = n_queries
    return fault
