"""Exact top-k of a batch of queries over the segments of an index.

Frequent terms are stored as dense rows of impacts, the others as posting lists. In a range the
lists are scattered into accumulators; what the rows can add is bounded block by block, and only
blocks that may hold a hit get their rows added, sixteen documents at a time. Where such blocks
are many the rows are added to the whole range, which is a linear pass in vector registers.
Block-max bounds follow [Ding and Suel 2011], the split of terms by the sums of their upper bounds
MaxScore [Turtle and Flood 1995].

Threshold rule: a document is dropped only if its upper bound is *below* the threshold, a score that
``k`` live documents are known to reach; a tie with the k-th score is decided by ordinal.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import shift_of, weight_limit_of
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import scratch_arrays
from lsr_index.kernels.queue import take_next
from lsr_index.kernels.score.query_weights import BAD_OFFSETS, N_FAULTS, prepare_query
from lsr_index.kernels.score.search_segments import search_segments
from lsr_index.kernels.structs import (
    HISTOGRAM,
    KEY_ROOM,
    LIVE,
    N_STATS,
    OPTIONS,
    QUERY_STATS,
    STATS,
    Workspace,
)
from lsr_index.kernels.topk import write_hits

# What `search_batch` returns where filtered posting lists lack a term of the query.
MISSING_LISTS = -1


@kernel
def answer_query(
    segments, live, work, keys, found, n_found, terms, weights, docs, scores, floats, stats,
    options, cancel, beta, scale,
):  # fmt: skip
    """Search for one query; returns 0, a fault of `prepare_query`, or `MISSING_LISTS`.

    ``terms`` and ``weights`` are (n,), ``docs``, ``scores`` and ``floats`` (k,); ``stats`` is zeros
    at first. Other parameters as in `search_batch`; ``work``, ``keys``, ``found`` and ``n_found``
    are scratch.
    """
    scratch, limit = work.scratch, np.int64(weight_limit_of(work.acc))
    fault, n_terms = prepare_query(terms, weights, limit, beta, scratch, stats)
    if fault != 0:
        return np.int64(fault)
    if not search_segments(
        segments, live, n_terms, work, keys, found, n_found, stats, options, cancel
    ):
        return np.int64(MISSING_LISTS)
    unit = np.float64(np.int64(1) << np.int64(shift_of(work.acc))) / stats.factor
    write_hits(keys, stats, options.k, scale * unit, scratch[HISTOGRAM], docs, scores, floats)
    return np.int64(0)


@kernel
def search_batch(
    segments, live, scratch_table, acc, indptr, terms, weights, queue, docs, scores, floats,
    counters, options, cancel, beta, scale,
):  # fmt: skip
    """Search the segments of an index for queries of a batch.

    Several threads may search a batch together: each calls this with its own scratch and
    everything else the same, and takes one query after the other from the queue.

    Parameters
    ----------
    live : (n_segments * m,) int64
        LIVE records, see `lsr_index.search.segment_set.LiveBitmaps`.
    scratch_table : (9, 2) int64
        See `lsr_index.kernels.pointers.scratch_arrays`.
    acc : (N_ACC, n) uint16 or uint32
        Scratch; its type is the accumulator width.
    indptr : (n_queries + 1,) int64
    terms, weights : (nnz,) uint32, float32
        Queries as CSR, of one length; their contents are checked here.
    queue : (1 + n,) int64
        Number of queries taken, then the queries to search for. Empty: the first query.
    docs, scores, floats : (n_queries * k,) int64, int64, float64
        Filled for these queries: hits best first, then -1 and 0.
    counters : (n_queries * N_STATS,) int64
        STATS records, filled for these queries.
    options : (m,) int64
        OPTIONS record.
    cancel : (1,) uint8
        Read before every range; non-zero ends the search.
    beta : float64
        Share of the query terms kept.
    scale : float64
        Document scale.

    Returns
    -------
    int64
        0, or a fault of `prepare_query` plus `N_FAULTS` times its query, or `MISSING_LISTS`. No
        thread takes a further query then.
    """
    candidates, scratch, keys, key_scores, found, n_found, cursors, cursor_order, parts = (
        scratch_arrays(scratch_table, segments.shape[0])
    )
    work = Workspace(acc, candidates, scratch, key_scores, cursors, cursor_order, parts)
    chosen, allowed = options.view(OPTIONS)[0], live.view(LIVE)
    k, n_queries = chosen.k, max(np.int64(1), queue.size - 1)
    keys = keys[: k + max(k, np.int64(KEY_ROOM))]
    counts = scratch[QUERY_STATS, :N_STATS]
    stats = counts.view(STATS)[0]
    fault, q = np.int64(0), np.int64(0)
    while fault == 0:
        if queue.size != 0:
            at = take_next(queue)
            if at >= n_queries:
                return fault
            q = queue[1 + at]
        begin, end = indptr[q], indptr[q + 1]
        counts[:] = 0
        if begin < 0 or end > terms.size or not 0 <= end - begin <= scratch.shape[1]:
            fault = np.int64(BAD_OFFSETS)
            break
        own = slice(q * k, (q + 1) * k)
        fault = answer_query(
            segments, allowed, work, keys, found, n_found, terms[begin:end], weights[begin:end],
            docs[own], scores[own], floats[own], stats, chosen, cancel, beta, scale,
        )  # fmt: skip
        if fault == 0:
            counters[q * N_STATS : (q + 1) * N_STATS] = counts
            if queue.size == 0:
                return fault
    if queue.size != 0:
        queue[0] = n_queries
    return fault if fault == MISSING_LISTS else fault + N_FAULTS * q
