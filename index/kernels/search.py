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

from index.kernels.address import open_view, words_at
from index.kernels.candidates import (
    collect,
    complete,
    name_documents,
)
from index.kernels.jit import kernel
from index.kernels.plan import find_terms, order_ranges, plan_range, stored_threshold
from index.kernels.prefetch import prefetch
from index.kernels.prepare import prepare_queries
from index.kernels.results import estimate, hit_key, push, rank, settle
from index.kernels.scan import add_bounds, bounds_to_bias, scatter
from index.kernels.select import kth_largest
from index.kernels.views import (
    ACC,
    BEGIN,
    BLOCKS,
    BOUNDS,
    DOCS,
    END,
    FLAGS,
    HISTOGRAM,
    LOCAL,
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
    OPT_LAST,
    OPT_LIVE,
    OPT_LIVE_WORDS,
    OPT_MAX_WORK,
    OPT_PREPARE,
    OPT_SPLIT,
    ORDER,
    PEAK,
    RANGE_PEAK,
    RANGE_SIZE,
    RANGES,
    SCORES,
    SLOTS,
    STAT_BLOCKS,
    STAT_COMPLETED,
    STAT_COUNT,
    STAT_CUT,
    STAT_FINISHED,
    STAT_KTH_KEY,
    STAT_POSTINGS,
    STAT_RANGES,
    STAT_THRESHOLD,
    STAT_UNSEEN,
    TABLE,
    WEIGHT,
    Workspace,
)

# Candidates whose forward rows are on their way while one is completed.
_AHEAD = 6


@kernel
def scaled(threshold, alpha, top):  # type: ignore[no-untyped-def]
    """Threshold that bounds are compared with: ``ceil(threshold / alpha)``, alpha in 1/65536.

    Never above ``top``, which no bound reaches.
    """
    return min((threshold * 65536 + alpha - 1) // alpha, np.int64(top))


@kernel
def scatter_terms(seg, longs, acc, first, last, shift):  # type: ignore[no-untyped-def]
    """Scatter the terms at places ``first`` to ``last`` of the order; returns their postings."""
    order, weights = longs[ORDER], longs[WEIGHT]
    begins, ends = longs[BEGIN], longs[END]
    slots, impacts = seg.slots, seg.impacts
    total = np.int64(0)
    for i in range(first, last):
        t = order[i]
        scatter(acc, slots, impacts, begins[t], ends[t], np.uint32(weights[t]), shift)
        total += ends[t] - begins[t]
    return total


@kernel
def scatter_essential(seg, work, acc, all_live, n_sparse, n, threshold, shift, top, stats, options):  # type: ignore[no-untyped-def]
    """Scatter terms until the rest cannot reach the threshold.

    While fewer than ``k`` documents are known, the partial scores also raise the threshold, where
    that promises to save more postings than it costs.

    Returns
    -------
    (int64, int64, int64)
        First place of the order that was left out, postings left out, threshold.
    """
    k, alpha = options[OPT_K], options[OPT_ALPHA]
    longs = work.longs
    order, peaks, begins, ends = longs[ORDER], longs[PEAK], longs[BEGIN], longs[END]
    rest_peak = np.int64(0)
    rest = np.int64(0)
    for i in range(n_sparse, n):
        t = order[i]
        rest_peak += peaks[t]
        rest += ends[t] - begins[t]
    n_blocks = seg.sizes[N_BLOCKS]
    unsettled = all_live and stats[STAT_COUNT] < k and options[OPT_ESTIMATE] != 0
    estimate_cost = 2000 + acc.size // 8 + 4 * k
    fresh = scatter_terms(seg, longs, acc, 0, n_sparse, shift)
    done = fresh
    split = n
    for i in range(n_sparse, n):
        if options[OPT_SPLIT] != 0:
            if unsettled and rest_peak >= threshold and fresh * 3 > rest > 3 * estimate_cost:
                threshold = estimate(work, acc, n_blocks, k, threshold)
                fresh = 0
            if rest_peak < scaled(threshold, alpha, top):
                split = i
                break
        t = order[i]
        added = scatter_terms(seg, longs, acc, i, i + 1, shift)
        fresh += added
        done += added
        rest_peak -= peaks[t]
        rest -= added
    if unsettled and fresh > 0:
        threshold = estimate(work, acc, n_blocks, k, threshold)
    stats[STAT_POSTINGS] += done
    return split, rest, threshold


@kernel
def bound_rest(seg, work, bounds, r, split, n, shift, options):  # type: ignore[no-untyped-def]
    """Upper bounds, per block, of what the terms from place ``split`` on add."""
    longs = work.longs
    order, weights, local = longs[ORDER], longs[WEIGHT], longs[LOCAL]
    n_blocks = seg.sizes[N_BLOCKS]
    block_max, dense_of_term = seg.block_max, seg.dense_of_term
    bounds[:] = 0
    for i in range(split, n):
        t = order[i]
        if options[OPT_BOUNDS] == 0:
            for b in range(bounds.size):
                bounds[b] += longs[PEAK, t]
            continue
        row = (r * seg.sizes[N_DENSE] + np.int64(dense_of_term[local[t]])) * n_blocks
        add_bounds(bounds, block_max[row : row + n_blocks], np.uint32(weights[t]), shift)


@kernel
def raise_by_partials(work, acc, n_found, k, threshold):  # type: ignore[no-untyped-def]
    """Raise the threshold to the k-th largest partial score of live candidates."""
    if n_found <= k:
        return threshold
    slots, scores = work.words[SLOTS], work.words[SCORES]
    for i in range(n_found):
        scores[i] = acc[slots[i]]
    found = np.int64(kth_largest(scores, n_found, k, work.longs[HISTOGRAM], False))
    return max(threshold, found)


@kernel
def offer_scored(work, acc, docs, base, n_found, threshold, k, keys, stats):  # type: ignore[no-untyped-def]
    """Offer candidates whose accumulators are complete; returns the threshold."""
    slots, histogram = work.words[SLOTS], work.longs[HISTOGRAM]
    threshold = raise_by_partials(work, acc, n_found, k, threshold)
    count = stats[STAT_COUNT]
    kth_key = np.uint64(stats[STAT_KTH_KEY])
    for i in range(n_found):
        if count == keys.size:
            stats[STAT_COUNT] = count
            threshold = settle(keys, stats, k, threshold, histogram)
            count = stats[STAT_COUNT]
            kth_key = np.uint64(stats[STAT_KTH_KEY])
        key = hit_key(np.int64(acc[slots[i]]), base + np.int64(docs[i]))
        keys[count] = key
        count += np.int64(key > kth_key) & np.int64(np.int64(key >> np.uint64(32)) >= threshold)
    stats[STAT_COUNT] = count
    return threshold


@kernel
def prefetch_row(terms, impacts, base, offsets, slot):  # type: ignore[no-untyped-def]
    """Ask for the first lines of a document's forward row."""
    begin = base + np.int64(offsets[slot])
    for line in range(3):
        prefetch(terms, begin + line * 32)
    for line in range(2):
        prefetch(impacts, begin + line * 64)


@kernel
def complete_candidates(  # type: ignore[no-untyped-def]
    seg, work, acc, bias, docs, r, n_found, split, n, shift, threshold, top, keys, stats, options
):
    """Score the candidates exactly through the forward index; returns the threshold."""
    k, alpha, base = options[OPT_K], options[OPT_ALPHA], options[OPT_DOC_BASE]
    longs, table = work.longs, work.words[TABLE]
    slots, blocks, histogram = work.words[SLOTS], work.words[BLOCKS], longs[HISTOGRAM]
    used = scaled(threshold, alpha, top)
    if options[OPT_ESTIMATE] != 0:
        threshold = raise_by_partials(work, acc, n_found, k, threshold)
    for i in range(split, n):
        t = longs[ORDER, i]
        table[seg.dense_of_term[longs[LOCAL, t]]] = longs[WEIGHT, t]
    first = r * (seg.sizes[RANGE_SIZE] + 1)
    offsets = seg.forward_offsets[first : first + seg.sizes[RANGE_SIZE] + 1]
    forward_base = seg.forward_base[r]
    terms, impacts = seg.forward_terms, seg.forward_impacts
    completed = 0
    for i in range(n_found):
        prefetch(offsets, np.int64(slots[i]))
    for i in range(min(np.int64(_AHEAD), n_found)):
        prefetch_row(terms, impacts, forward_base, offsets, slots[i])
    for i in range(n_found):
        if i + _AHEAD < n_found:
            prefetch_row(terms, impacts, forward_base, offsets, slots[i + _AHEAD])
        slot = slots[i]
        # `bias` was made with the threshold of before: what it has gained since is subtracted.
        need = np.int64(top) + scaled(threshold, alpha, top) - used
        score = np.int64(acc[slot])
        if score + np.int64(bias[blocks[i]]) < need:
            continue
        begin = forward_base + np.int64(offsets[slot])
        end = forward_base + np.int64(offsets[np.int64(slot) + 1])
        score += np.int64(complete(terms, impacts, begin, end, table, shift))
        completed += 1
        if score >= threshold:
            doc = base + np.int64(docs[i])
            threshold = push(keys, stats, k, score, doc, threshold, histogram)
    stats[STAT_COMPLETED] += completed
    for i in range(split, n):
        table[seg.dense_of_term[longs[LOCAL, longs[ORDER, i]]]] = 0
    return threshold


@kernel
def search_range(seg, work, live, r, n, shift, threshold, top, keys, stats, options):  # type: ignore[no-untyped-def]
    """Search one range; returns the threshold after it."""
    k = options[OPT_K]
    n_blocks = seg.sizes[N_BLOCKS]
    size = seg.sizes[RANGE_SIZE]
    acc, flags = work.lanes[ACC, :size], work.lanes[FLAGS, :n_blocks]
    bounds = work.lanes[BOUNDS, :n_blocks]

    n_sparse = plan_range(seg, work.longs, r, n, shift)
    acc[:] = 0
    split, rest, threshold = scatter_essential(
        seg, work, acc, live.size == 0, n_sparse, n, threshold, shift, top, stats, options
    )
    reach = scaled(threshold, options[OPT_ALPHA], top)
    bound_rest(seg, work, bounds, r, split, n, shift, options)
    bounds_to_bias(bounds, np.uint32(reach), top)
    many = np.int64(acc.size)
    if options[OPT_FINISH] != 0 and split < n:
        many = rest // options[OPT_COMPLETION_COST]
    found = (work.words[SLOTS], work.words[BLOCKS])
    n_found, n_hit = collect(acc, bounds, many, flags, found)
    if n_found == 0:
        return threshold
    if n_found > many:
        scatter_terms(seg, work.longs, acc, split, n, shift)
        stats[STAT_POSTINGS] += rest
        stats[STAT_FINISHED] += 1
        split = n
        if stats[STAT_COUNT] < k and options[OPT_ESTIMATE] != 0 and live.size == 0:
            threshold = estimate(work, acc, n_blocks, k, threshold)
        bounds[:] = 0
        bounds_to_bias(bounds, np.uint32(threshold), top)
        n_found, n_hit = collect(acc, bounds, np.int64(acc.size), flags, found)
    stats[STAT_BLOCKS] += n_hit
    docs = work.words[DOCS]
    n_found = name_documents(seg, r, found, n_found, live, docs)
    if split == n:
        base = options[OPT_DOC_BASE]
        threshold = offer_scored(work, acc, docs, base, n_found, threshold, k, keys, stats)
    else:
        threshold = complete_candidates(
            seg, work, acc, bounds, docs, r, n_found, split, n, shift, threshold, top,
            keys, stats, options,
        )  # fmt: skip
    return settle(keys, stats, k, threshold, work.longs[HISTOGRAM])


@kernel
def search_query(seg, terms, weights, live, work, keys, stats, options, shift, top, cancel):  # type: ignore[no-untyped-def]
    """Search one segment for one query."""
    longs = work.longs
    n = find_terms(seg, terms, weights, longs)
    if n == 0:
        return
    k, alpha = options[OPT_K], options[OPT_ALPHA]
    threshold = max(np.int64(1), stats[STAT_THRESHOLD])
    if options[OPT_KTH] != 0 and live.size == 0:
        threshold = max(threshold, stored_threshold(seg.kth_impacts, longs, n, k, shift))
    order_ranges(seg, longs, n, shift)
    for at in range(seg.sizes[N_RANGES]):
        r = longs[RANGES, at]
        peak = longs[RANGE_PEAK, r]
        if peak < scaled(threshold, alpha, top):
            break  # the later ranges can reach even less
        spent = stats[STAT_POSTINGS] + options[OPT_COMPLETION_COST] * stats[STAT_COMPLETED]
        capped = options[OPT_MAX_WORK] > 0 and spent >= options[OPT_MAX_WORK]
        if cancel[0] != 0 or capped:
            stats[STAT_CUT] = 1
            stats[STAT_UNSEEN] = max(stats[STAT_UNSEEN], peak)
            break
        stats[STAT_RANGES] += 1
        threshold = search_range(seg, work, live, r, n, shift, threshold, top, keys, stats, options)
    stats[STAT_THRESHOLD] = threshold


@kernel
def search_batch(  # type: ignore[no-untyped-def]
    segment, raw_indptr, raw_terms, raw_weights, indptr, terms, weights, factors, dropped,
    lanes, words, longs, keys, stats, docs, scores, floats, options, cancel, beta, scale,
):  # fmt: skip
    """Search one segment for every query of a batch, raising each query's running result.

    Parameters
    ----------
    segment : (15, 2) int64
        Address table of the segment's view.
    raw_indptr, raw_terms, raw_weights, indptr, terms, weights, factors, dropped
        A `QueryBatch`.
    lanes, words, longs
        A `Workspace`. Its ``TABLE`` must be zero; it is zero again at the end. The lanes' type
        decides the accumulator width.
    keys, stats, docs, scores, floats
        A `ResultState`; the last three are filled with the last segment.
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
        0, or a fault of `prepare_queries` plus 4 times the query it is in.
    """
    narrow = lanes.itemsize == 2
    shift = np.uint32(8 if narrow else 0)
    top = np.uint32(1 << 15 if narrow else 1 << 31)
    if options[OPT_PREPARE] != 0:
        limit = np.int64((1 << 15) - 1 if narrow else (1 << 23) - 1)
        out = (indptr, terms, weights)
        fault, at = prepare_queries(
            raw_indptr, raw_terms, raw_weights, limit, beta, out, factors, dropped
        )
        if fault != 0:
            return fault + 4 * at
    seg = open_view(segment)
    live = words_at(options[OPT_LIVE], options[OPT_LIVE_WORDS])
    work = Workspace(lanes, words, longs)
    for q in range(raw_indptr.size - 1):
        begin = indptr[q]
        end = indptr[q + 1]
        search_query(
            seg, terms[begin:end], weights[begin:end], live, work,
            keys[q], stats[q], options, shift, top, cancel,
        )  # fmt: skip
        if options[OPT_LAST] != 0:
            factor = scale * (np.float64(np.int64(1) << np.int64(shift)) / factors[q])
            k = options[OPT_K]
            rank(keys[q], stats[q], k, factor, longs[HISTOGRAM], docs[q], scores[q], floats[q])
    return np.int64(0)
