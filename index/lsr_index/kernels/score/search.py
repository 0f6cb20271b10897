"""Exact top-k of a batch of queries over the segments of an index.

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

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import open_frame
from lsr_index.kernels.queue import take_next
from lsr_index.kernels.score.query_weights import BAD_OFFSETS, N_FAULTS, prepare_query
from lsr_index.kernels.score.search_segments import search_segments
from lsr_index.kernels.structs import (
    COUNTERS,
    HISTOGRAM,
    KEY_ROOM,
    N_STATS,
    OPT_K,
    STAT_FACTOR,
    Workspace,
)
from lsr_index.kernels.topk.buffer import rank

# What `search_batch` returns where the lists of a filter lack a term of the query.
UNKNOWN_LISTS = -1


@kernel
def answer_query(  # type: ignore[no-untyped-def]
    segments, live, work, keys, found, n_found, terms, weights, docs, scores, floats, stats,
    options, cancel, beta, scale,
):  # fmt: skip
    """Answer one query.

    Parameters
    ----------
    segments, live, options, cancel, beta, scale
        As in `search_batch`.
    work : Workspace
    keys : (>= k + KEY_ROOM,) uint64
        Scratch.
    found, n_found : (n_segments, 2, n) int64, (n_segments,) int64
        Scratch, see `lsr_index.kernels.score.search_segments.find_all_terms`.
    terms, weights : (n,) uint32, float32
    docs, scores, floats : (k,) int64, int64, float64
        Filled.
    stats : (N_STATS,) int64
        Filled; zeros at first.

    Returns
    -------
    int64
        0, a fault of `prepare_query`, or `UNKNOWN_LISTS`.
    """
    narrow = work.lanes.itemsize == 2
    shift = np.uint32(8 if narrow else 0)
    top = np.uint32(1 << 15 if narrow else 1 << 31)
    limit = np.int64((1 << 15) - 1 if narrow else (1 << 23) - 1)
    longs = work.longs
    fault, n_terms = prepare_query(terms, weights, limit, beta, longs, stats)
    if fault != 0:
        return np.int64(fault)
    if not search_segments(
        segments, live, n_terms, work, keys, found, n_found, stats, options, shift, top, cancel
    ):
        return np.int64(UNKNOWN_LISTS)
    unit = np.float64(np.int64(1) << np.int64(shift)) / stats.view(np.float64)[STAT_FACTOR]
    rank(keys, stats, options[OPT_K], scale * unit, longs[HISTOGRAM], docs, scores, floats)
    return np.int64(0)


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
        Which documents may appear, see `lsr_index.search.segment_set.LiveBitmaps`.
    frame : (8, 2) int64
        Addresses and lengths of scratch, see `lsr_index.search.scratch.Frame`.
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
    words, longs, keys, key_scores, found, n_found, plans, parts = open_frame(
        frame, segments.shape[0]
    )
    work = Workspace(lanes, words, longs, key_scores, plans, parts)
    k, n_queries = options[OPT_K], max(np.int64(1), queue.size - 1)
    keys = keys[: k + max(k, np.int64(KEY_ROOM))]
    stats = longs[COUNTERS, :N_STATS]
    fault, q = np.int64(0), np.int64(0)
    while fault == 0:
        if queue.size != 0:
            at = take_next(queue)
            if at >= n_queries:
                return fault
            q = queue[1 + at]
        begin, end = indptr[q], indptr[q + 1]
        stats[:] = 0
        if begin < 0 or end > terms.size or not 0 <= end - begin <= longs.shape[1]:
            fault = np.int64(BAD_OFFSETS)
            break
        own = slice(q * k, (q + 1) * k)
        fault = answer_query(
            segments, live, work, keys, found, n_found, terms[begin:end], weights[begin:end],
            docs[own], scores[own], floats[own], stats, options, cancel, beta, scale,
        )  # fmt: skip
        if fault == 0:
            counters[q * N_STATS : (q + 1) * N_STATS] = stats
            if queue.size == 0:
                return fault
    if queue.size != 0:
        queue[0] = n_queries
    return fault if fault == UNKNOWN_LISTS else fault + N_FAULTS * q
