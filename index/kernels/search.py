"""Exact top-k of a batch of queries over one segment: the range loop.

A range is served in up to four steps: scatter the *essential* terms (the others together cannot
lift a document over the threshold), add block-local bounds of the others, flag the blocks that may
hold a result, then either complete the candidates exactly from the forward index or, when they are
many, scatter the rest. MaxScore [Turtle and Flood 1995] with block-max bounds [Ding and Suel 2011],
laid out for range-at-a-time processing.

Threshold rule: a document is dropped only if its upper bound is *below* the threshold, a score that
``k`` live documents are known to reach; a tie with the k-th score is decided by document number.
"""

from __future__ import annotations

import numpy as np

from index.kernels.candidates import collect, complete, drop_dead, flagged_blocks
from index.kernels.jit import kernel
from index.kernels.plan import find_terms, order_ranges, plan_range, stored_threshold
from index.kernels.scan import add_bounds, bounds_to_bias, flag_blocks, group_maxima, scatter
from index.kernels.select import keep_best, kth_largest
from index.kernels.views import (
    N_BLOCKS,
    N_DENSE,
    N_RANGES,
    OPT_ALPHA,
    OPT_BOUNDS,
    OPT_COMPLETION_COST,
    OPT_DOC_BASE,
    OPT_ESTIMATE,
    OPT_FINISH,
    OPT_K,
    OPT_KTH,
    OPT_MAX_WORK,
    OPT_SPLIT,
    RANGE_SIZE,
    STAT_BLOCKS,
    STAT_COMPLETED,
    STAT_CUT,
    STAT_FINISHED,
    STAT_POSTINGS,
    STAT_RANGES,
    STAT_UNSEEN,
)


@kernel
def scaled(threshold, alpha, top):  # type: ignore[no-untyped-def]
    """Threshold that bounds are compared with: ``ceil(threshold / alpha)``, alpha in 1/65536.

    Never above ``top``, which no bound reaches.
    """
    return min((threshold * 65536 + alpha - 1) // alpha, np.int64(top))


@kernel
def estimate(work, acc, n_blocks, k, threshold):  # type: ignore[no-untyped-def]
    """Raise the threshold to the k-th largest of group maxima of partial scores.

    Partial scores are lower bounds and groups are disjoint, so ``k`` documents reach the result.

    Parameters
    ----------
    work : Workspace
    acc : (range_size,) uint16 or uint32
    n_blocks, k, threshold : int64

    Returns
    -------
    int64
    """
    lanes = acc.size // n_blocks
    n_groups = 1
    while n_groups < lanes and n_groups * n_blocks < 6 * k:
        n_groups = min(lanes, n_groups * 2)
    if n_groups * n_blocks < k:
        return threshold
    group_maxima(acc, work.groups, n_groups, n_blocks)
    found = np.int64(kth_largest(work.groups, n_groups * n_blocks, k, work.histogram))
    return max(threshold, found)


@kernel
def push(state, q, k, score, doc, threshold, histogram):  # type: ignore[no-untyped-def]
    """Offer one exactly scored document; returns the possibly raised threshold.

    Keys order by score descending, then document ascending. The row is an unordered buffer that
    is cut back to the best ``k`` when full.
    """
    key = (np.uint64(score) << np.uint64(32)) | np.uint64(np.uint32(0xFFFFFFFF) - np.uint32(doc))
    if key <= state.kth_keys[q]:
        return threshold
    row = state.keys[q]
    count = state.counts[q]
    row[count] = key
    count += 1
    if count == row.size:
        smallest = keep_best(row, count, k, histogram)
        count = k
        state.kth_keys[q] = smallest
        threshold = max(threshold, np.int64(smallest >> np.uint64(32)))
    state.counts[q] = count
    return threshold


@kernel
def settle(state, q, k, threshold, histogram):  # type: ignore[no-untyped-def]
    """Cut a query's buffer to its best ``k`` if it holds as many; returns the threshold."""
    count = state.counts[q]
    if count < k:
        return threshold
    smallest = keep_best(state.keys[q], count, k, histogram)
    state.counts[q] = k
    state.kth_keys[q] = smallest
    return max(threshold, np.int64(smallest >> np.uint64(32)))


@kernel
def find_candidates(work, acc, bounds, flags, threshold, top):  # type: ignore[no-untyped-def]
    """Documents whose partial score plus block bound reaches the threshold.

    Returns
    -------
    (int64, int64)
        Number of candidates and of flagged blocks.
    """
    bounds_to_bias(bounds, np.uint32(threshold), top)
    flag_blocks(acc, bounds, flags)
    n_hit = flagged_blocks(flags, top, work.blocks)
    n = collect(acc, bounds, top, work.blocks, n_hit, work.found_slots, work.found_blocks)
    return n, n_hit


@kernel
def search_range(seg, work, live, r, n, q, shift, threshold, top, state, options):  # type: ignore[no-untyped-def]
    """Search one range; returns the threshold after it."""
    k = options[OPT_K]
    alpha = options[OPT_ALPHA]
    n_blocks = seg.sizes[N_BLOCKS]
    range_size = seg.sizes[RANGE_SIZE]
    n_dense = seg.sizes[N_DENSE]
    acc = work.acc[:range_size]
    bounds = work.bounds[:n_blocks]
    flags = work.flags[:n_blocks]
    docs = seg.slot_docs[r * range_size : (r + 1) * range_size]
    stats = state.stats[q]
    order = work.order

    n_sparse = plan_range(seg, work, r, n, shift)
    rest_peak = np.int64(0)
    rest_postings = np.int64(0)
    for i in range(n_sparse, n):
        rest_peak += work.term_peak[order[i]]
        rest_postings += work.term_end[order[i]] - work.term_begin[order[i]]

    acc[:] = 0
    unsettled = state.counts[q] < k and options[OPT_ESTIMATE] != 0 and live.size == 0
    since_estimate = np.int64(0)
    split = n
    for i in range(n):
        if i >= n_sparse and options[OPT_SPLIT] != 0:
            if unsettled and rest_peak >= threshold and since_estimate * 5 > rest_postings:
                threshold = estimate(work, acc, n_blocks, k, threshold)
                since_estimate = 0
            if rest_peak < scaled(threshold, alpha, top):
                split = i
                break
        t = order[i]
        begin = work.term_begin[t]
        end = work.term_end[t]
        scatter(acc, seg.slots, seg.impacts, begin, end, work.term_weight[t], shift)
        stats[STAT_POSTINGS] += end - begin
        since_estimate += end - begin
        if i >= n_sparse:
            rest_peak -= work.term_peak[t]
            rest_postings -= end - begin
    if unsettled and since_estimate > 0:
        threshold = estimate(work, acc, n_blocks, k, threshold)

    rest_bound = 0
    if options[OPT_BOUNDS] == 0:
        rest_bound = rest_peak
    bounds[:] = rest_bound
    if options[OPT_BOUNDS] != 0:
        for i in range(split, n):
            t = order[i]
            row = (r * n_dense + np.int64(seg.dense_of_term[work.term_local[t]])) * n_blocks
            add_bounds(bounds, seg.block_max[row : row + n_blocks], work.term_weight[t], shift)
    n_found, n_hit = find_candidates(work, acc, bounds, flags, scaled(threshold, alpha, top), top)
    stats[STAT_BLOCKS] += n_hit

    finish = options[OPT_FINISH] != 0
    if split < n and finish and n_found * options[OPT_COMPLETION_COST] > rest_postings:
        for i in range(split, n):
            t = order[i]
            begin = work.term_begin[t]
            end = work.term_end[t]
            scatter(acc, seg.slots, seg.impacts, begin, end, work.term_weight[t], shift)
        stats[STAT_POSTINGS] += rest_postings
        stats[STAT_FINISHED] += 1
        split = n
        if unsettled:
            threshold = estimate(work, acc, n_blocks, k, threshold)
        bounds[:] = 0
        n_found, n_hit = find_candidates(work, acc, bounds, flags, threshold, top)
    if live.size != 0:
        n_found = drop_dead(work.found_slots, work.found_blocks, n_found, docs, live)
    return finish_candidates(
        seg, work, acc, bounds, docs, r, n_found, split, n, q, shift, threshold, top, state, options
    )


@kernel
def finish_candidates(  # type: ignore[no-untyped-def]
    seg, work, acc, bias, docs, r, n_found, split, n, q, shift, threshold, top, state, options
):
    """Score the candidates exactly and offer them; returns the threshold."""
    k = options[OPT_K]
    base = options[OPT_DOC_BASE]
    n_terms_left = n - split
    stats = state.stats[q]
    used = scaled(threshold, options[OPT_ALPHA], top) if n_terms_left > 0 else threshold
    if n_found > k and options[OPT_ESTIMATE] != 0:
        for i in range(n_found):
            work.found_scores[i] = acc[work.found_slots[i]]
        best = np.int64(kth_largest(work.found_scores, n_found, k, work.histogram))
        threshold = max(threshold, best)
    if n_terms_left == 0:
        for i in range(n_found):
            slot = work.found_slots[i]
            score = np.int64(acc[slot])
            if score >= threshold:
                threshold = push(
                    state, q, k, score, base + np.int64(docs[slot]), threshold, work.histogram
                )
        return settle(state, q, k, threshold, work.histogram)
    for i in range(split, n):
        t = work.order[i]
        work.table[seg.dense_of_term[work.term_local[t]]] = work.term_weight[t]
    offsets = r * (seg.sizes[RANGE_SIZE] + 1)
    forward_base = seg.forward_base[r]
    for i in range(n_found):
        slot = np.int64(work.found_slots[i])
        # `bias` was made with the threshold of before: what it has gained since is subtracted.
        gained = scaled(threshold, options[OPT_ALPHA], top) - used
        reach = np.int64(acc[slot]) + np.int64(bias[work.found_blocks[i]]) - gained
        if reach < np.int64(top):
            continue
        begin = forward_base + np.int64(seg.forward_offsets[offsets + slot])
        end = forward_base + np.int64(seg.forward_offsets[offsets + slot + 1])
        rest = complete(seg.forward_terms, seg.forward_impacts, begin, end, work.table, shift)
        stats[STAT_COMPLETED] += 1
        score = np.int64(acc[slot]) + np.int64(rest)
        if score >= threshold:
            threshold = push(
                state, q, k, score, base + np.int64(docs[slot]), threshold, work.histogram
            )
    for i in range(split, n):
        work.table[seg.dense_of_term[work.term_local[work.order[i]]]] = 0
    return settle(state, q, k, threshold, work.histogram)


@kernel
def search_batch(seg, batch, live, work, state, options, shift, top, cancel):  # type: ignore[no-untyped-def]
    """Search one segment for every query of a batch, raising each query's running result.

    Parameters
    ----------
    seg : SegmentView
    batch : QueryBatch
    live : (ceil(n_docs / 64),) uint64, or empty for "all live"
    work : Workspace
        Its ``table`` must be zero; it is zero again at the end.
    state : ResultState
    options : (N_OPTIONS,) int64
    shift, top : uint32
        8 and 2**15 with uint16 accumulators, 0 and 2**31 with uint32 ones.
    cancel : (1,) uint8
        Looked at before every range; non-zero ends the search.
    """
    k = options[OPT_K]
    for q in range(batch.indptr.size - 1):
        begin = batch.indptr[q]
        end = batch.indptr[q + 1]
        n = find_terms(seg.terms, batch.terms[begin:end], batch.weights[begin:end], work)
        if n == 0:
            continue
        threshold = max(np.int64(1), state.thresholds[q])
        if options[OPT_KTH] != 0 and live.size == 0:
            stored = stored_threshold(seg.kth_impacts, work, n, k, shift)
            threshold = max(threshold, stored)
        order_ranges(seg, work, n, shift)
        stats = state.stats[q]
        for at in range(seg.sizes[N_RANGES]):
            r = work.range_order[at]
            if work.range_peak[r] < scaled(threshold, options[OPT_ALPHA], top):
                break  # the later ranges can reach even less
            spent = stats[STAT_POSTINGS] + options[OPT_COMPLETION_COST] * stats[STAT_COMPLETED]
            capped = options[OPT_MAX_WORK] > 0 and spent >= options[OPT_MAX_WORK]
            if cancel[0] != 0 or capped:
                stats[STAT_CUT] = 1
                stats[STAT_UNSEEN] = max(stats[STAT_UNSEEN], work.range_peak[r])
                break
            stats[STAT_RANGES] += 1
            threshold = search_range(
                seg, work, live, r, n, q, shift, threshold, top, state, options
            )
        state.thresholds[q] = threshold
