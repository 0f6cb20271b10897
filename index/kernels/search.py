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

from index.kernels.address import halves_at, longs_at, open_frame, open_view, words_at
from index.kernels.candidates import (
    add_row_to_blocks,
    add_row_to_tiles,
    gather,
    gather_tiles,
    offer,
    prefetch_blocks,
    silence_dead,
    surviving,
)
from index.kernels.jit import kernel
from index.kernels.mask import LANES
from index.kernels.narrowed import known_terms, search_narrowed
from index.kernels.plan import (
    ask_range,
    contribution,
    find_terms,
    order_ranges,
    plan_range,
    stored_threshold,
)
from index.kernels.prepare import BAD_OFFSETS, N_FAULTS, prepare_query
from index.kernels.queue import take_next
from index.kernels.results import rank, settle
from index.kernels.scan import (
    add_bounds,
    add_row,
    block_maxima,
    group_maxima,
    scatter,
    take_bounds,
)
from index.kernels.select import kth_largest
from index.kernels.views import (
    ACC,
    BEGIN,
    BLOCKS,
    BOUNDS,
    COUNTERS,
    END,
    HISTOGRAM,
    KEY_ROOM,
    LIVE_ADDRESS,
    LIVE_BASE,
    LIVE_DOCS,
    LIVE_LISTS,
    LIVE_NUMBERS,
    LIVE_WORDS,
    LOCAL,
    MAXIMA,
    N_BLOCKS,
    N_RANGES,
    N_STATS,
    N_TERMS,
    OPT_ALPHA,
    OPT_BOUNDS,
    OPT_COMPLETION_COST,
    OPT_ESTIMATE,
    OPT_FINISH,
    OPT_K,
    OPT_KTH,
    OPT_MAX_WORK,
    OPT_SPLIT,
    ORDER,
    PEAK,
    POTENTIAL,
    PROBED,
    QUERY_TERM,
    QUERY_WEIGHT,
    RANGE_PEAK,
    RANGE_SIZE,
    RANGES,
    ROW,
    SCORES,
    SLOTS,
    STAT_BLOCKS,
    STAT_CELLS,
    STAT_COUNT,
    STAT_CUT,
    STAT_FACTOR,
    STAT_FINISHED,
    STAT_POSTINGS,
    STAT_RANGES,
    STAT_THRESHOLD,
    STAT_UNSEEN,
    TILES,
    WEIGHT,
    Workspace,
)

# Cells of a row that are added in the time of one scattered posting.
_CELLS_PER_POSTING = 16
# What `search_batch` returns where the lists of a filter lack a term of the query.
UNKNOWN_LISTS = -1
# Probing a block costs as much as this many additions of a row to a listed block.
_PROBE_COST = 3


@kernel
def scaled(threshold, alpha, top):  # type: ignore[no-untyped-def]
    """Threshold that bounds are compared with: ``ceil(threshold / alpha)``, alpha in 1/65536.

    Never above ``top``, which no bound reaches.
    """
    return min((threshold * 65536 + alpha - 1) // alpha, np.int64(top))


@kernel
def scatter_lists(seg, longs, acc, n_lists, shift, stats):  # type: ignore[no-untyped-def]
    """Scatter the lists of a range: the first places of the order."""
    order, weights = longs[ORDER], longs[WEIGHT]
    begins, ends = longs[BEGIN], longs[END]
    slots, impacts = seg.slots, seg.impacts
    for i in range(n_lists):
        t = order[i]
        scatter(acc, slots, impacts, begins[t], ends[t], np.uint32(weights[t]), shift)
        stats[STAT_POSTINGS] += ends[t] - begins[t]


@kernel
def bound_rows(seg, longs, bounds, n_lists, n, shift, options):  # type: ignore[no-untyped-def]
    """Upper bounds, per block, of what the rows of a range add."""
    order, weights = longs[ORDER], longs[WEIGHT]
    bounds[:] = 0
    for i in range(n_lists, n):
        t = order[i]
        if options[OPT_BOUNDS] == 0:
            for b in range(bounds.size):
                bounds[b] += longs[PEAK, t]
        else:
            cell = longs[ROW, t] * bounds.size
            add_bounds(bounds, seg.block_max, cell, np.uint32(weights[t]), shift)


@kernel
def kth_group(work, maxima, bounds, k):  # type: ignore[no-untyped-def]
    """A score that the ``maximum + bound`` of at least ``k`` blocks reaches, near the largest such.

    Selecting among a few maxima of groups of blocks is cheaper than among all blocks.
    """
    width = min(np.int64(maxima.size), (4 * k + LANES - 1) // LANES * LANES)
    groups = work.lanes[POTENTIAL]
    group_maxima(maxima, bounds, groups, width)
    return kth_largest(groups, width, k)


@kernel
def probe(seg, work, live, first_slot, n_lists, n, k, n_wanted, threshold, stats):  # type: ignore[no-untyped-def]
    """Complete copies of the most promising blocks; their documents raise the threshold.

    Returns
    -------
    (int64, int64)
        Blocks probed, about ``n_wanted`` and at most twice as many, and the threshold.
    """
    size, n_blocks = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS]
    block_size = size // n_blocks
    padded = (n_blocks + LANES - 1) // LANES * LANES
    longs = work.longs
    maxima, bounds = work.lanes[MAXIMA, :padded], work.lanes[BOUNDS, :padded]
    acc, tiles, blocks = work.lanes[ACC], work.lanes[TILES], work.words[PROBED]
    level = max(np.int64(1), kth_group(work, maxima[:n_blocks], bounds[:n_blocks], n_wanted))
    n_found = min(surviving(maxima, bounds, level, 2 * n_wanted, blocks), 2 * n_wanted)
    for i in range(n_lists, n):
        prefetch_blocks(seg.rows, longs[ROW, longs[ORDER, i]] * size, block_size, blocks, n_found)
    for i in range(n_found):
        b = np.int64(blocks[i]) * block_size
        tiles[i * block_size : (i + 1) * block_size] = acc[b : b + block_size]
    for i in range(n_lists, n):
        t = longs[ORDER, i]
        weight = np.uint32(longs[WEIGHT, t])
        row = longs[ROW, t] * size
        add_row_to_tiles(tiles, seg.rows, row, block_size, blocks, n_found, weight)
    stats[STAT_BLOCKS] += n_found * (n - n_lists)
    for i in range(n_found):
        maxima[blocks[i]] = 0
        bounds[blocks[i]] = 0
    silence_dead(tiles, live, first_slot, block_size, blocks, n_found)
    n_docs = n_found * block_size
    if n_docs >= k:
        threshold = max(threshold, kth_largest(tiles, n_docs, k))
    return n_found, threshold


@kernel
def add_rows(seg, work, live, first_slot, n_lists, n, n_probed, shift, level, many, stats):  # type: ignore[no-untyped-def]
    """Add the rows of a range wherever they can matter, those with the highest peaks first.

    While many blocks may reach the level, a row is added to the whole range; then only to the
    blocks that may.

    Returns
    -------
    int64
        Blocks left, listed in ``BLOCKS``; their accumulators are complete.
    """
    size, n_blocks = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS]
    block_size = size // n_blocks
    padded = (n_blocks + LANES - 1) // LANES * LANES
    longs, acc = work.longs, work.lanes[ACC, :size]
    maxima, bounds = work.lanes[MAXIMA, :padded], work.lanes[BOUNDS, :padded]
    blocks, probed = work.words[BLOCKS], work.words[PROBED]
    n_found = surviving(maxima, bounds, level, padded, blocks)
    for i in range(n_lists, n):
        t = longs[ORDER, i]
        weight = np.uint32(longs[WEIGHT, t])
        row, cell = longs[ROW, t] * size, longs[ROW, t] * n_blocks
        if n_found <= many:
            prefetch_blocks(seg.rows, row, block_size, blocks, n_found)
            stats[STAT_BLOCKS] += n_found
            n_found = add_row_to_blocks(
                acc, live, first_slot, seg.rows, row, seg.block_max, cell, block_size, blocks,
                n_found, weight, shift, level, maxima, bounds,
            )  # fmt: skip
            continue
        add_row(acc, seg.rows, row, weight)
        stats[STAT_CELLS] += size
        take_bounds(bounds[:n_blocks], seg.block_max, cell, weight, shift)
        block_maxima(acc, live, first_slot, block_size, maxima, bounds)
        for j in range(n_probed):
            maxima[probed[j]] = 0
        n_found = surviving(maxima, bounds, level, padded, blocks)
    return n_found


@kernel
def search_range(seg, work, live, r, n, shift, threshold, top, base, keys, stats, options):  # type: ignore[no-untyped-def]
    """Search one range; returns the threshold after it."""
    k, longs = options[OPT_K], work.longs
    size, n_blocks = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS]
    padded = (n_blocks + LANES - 1) // LANES * LANES
    acc, tiles = work.lanes[ACC, :size], work.lanes[TILES]
    maxima, bounds = work.lanes[MAXIMA, :padded], work.lanes[BOUNDS, :padded]
    slots, scores = work.words[SLOTS], work.words[SCORES]
    block_size, first_slot = size // n_blocks, r * size

    n_lists = plan_range(seg, longs, r, n, shift)
    acc[:] = 0
    scatter_lists(seg, longs, acc, n_lists, shift, stats)
    maxima[n_blocks:] = 0
    bounds[:] = 0
    fresh = options[OPT_ESTIMATE] != 0 and stats[STAT_COUNT] < k <= n_blocks
    # More blocks than this cost more to add a row to than the whole range does.
    many = n_blocks // options[OPT_COMPLETION_COST] if options[OPT_FINISH] != 0 else n_blocks
    n_probed, cells_before = np.int64(0), stats[STAT_CELLS]
    # Where a good part of the blocks holds results, looking for them does not pay.
    share = many if fresh else many * seg.sizes[N_RANGES]
    if options[OPT_SPLIT] == 0 or k * _PROBE_COST > share:
        for i in range(n_lists, n):
            t = longs[ORDER, i]
            add_row(acc, seg.rows, longs[ROW, t] * size, np.uint32(longs[WEIGHT, t]))
            stats[STAT_CELLS] += size
        n_lists = n
    bound_rows(seg, longs, bounds[:n_blocks], n_lists, n, shift, options)
    block_maxima(acc, live, first_slot, block_size, maxima, bounds)
    if fresh and n_lists < n:
        n_wanted = min(2 * k, max(k, many // _PROBE_COST))
        n_probed, threshold = probe(
            seg, work, live, first_slot, n_lists, n, k, n_wanted, threshold, stats
        )
    elif fresh:
        threshold = max(threshold, kth_group(work, maxima[:n_blocks], bounds[:n_blocks], k))
    level = scaled(threshold, options[OPT_ALPHA], top)
    n_found = add_rows(seg, work, live, first_slot, n_lists, n, n_probed, shift, level, many, stats)
    stats[STAT_FINISHED] += np.int64(stats[STAT_CELLS] > cells_before)
    n_hits = gather_tiles(tiles, block_size, work.words[PROBED], n_probed, threshold, slots, scores)
    threshold = offer(seg.slot_docs, work, n_hits, first_slot, base, threshold, k, keys, stats)
    n_hits = gather(
        acc, live, first_slot, block_size, work.words[BLOCKS], n_found, threshold, slots, scores
    )
    threshold = offer(seg.slot_docs, work, n_hits, first_slot, base, threshold, k, keys, stats)
    return settle(keys, stats, k, threshold, work.key_scores)


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
def search_segment(seg, found, n, live, work, base, keys, stats, options, shift, top, cancel):  # type: ignore[no-untyped-def]
    """Search one segment for the terms found in it, raising the query's running result."""
    longs = work.longs
    longs[LOCAL, :n] = found[0, :n]
    longs[WEIGHT, :n] = found[1, :n]
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
        if at_an_end(stats, options, cancel):
            stats[STAT_CUT] = 1
            stats[STAT_UNSEEN] = max(stats[STAT_UNSEEN], peak)
            break
        stats[STAT_RANGES] += 1
        if at + 1 < seg.sizes[N_RANGES]:
            ask_range(seg, longs[LOCAL], n, longs[RANGES, at + 1])
        threshold = search_range(
            seg, work, live, r, n, shift, threshold, top, base, keys, stats, options
        )
    stats[STAT_THRESHOLD] = threshold


@kernel
def search_segments(  # type: ignore[no-untyped-def]
    segments, live, n_terms, work, keys, found, n_found, stats, options, shift, top, cancel
):
    """Search the segments one after the other for one query, prepared in ``work``.

    Returns
    -------
    bool
        False: the lists of a filter lack a term.
    """
    longs = work.longs
    # All segments first: what a search reads of each is on its way while others are looked at.
    for s in range(segments.shape[0]):
        seg = open_view(segments[s])
        n_found[s] = find_terms(seg, longs[QUERY_TERM], longs[QUERY_WEIGHT], n_terms, found[s])
        if live[s, LIVE_LISTS] != 0:
            lists = longs_at(live[s, LIVE_LISTS], seg.sizes[N_TERMS])
            if not known_terms(lists, found[s], n_found[s]):
                return False
    for s in range(segments.shape[0]):
        if n_found[s] == 0 or live[s, LIVE_DOCS] == 0:
            continue
        if live[s, LIVE_LISTS] != 0:
            seg = open_view(segments[s])
            lists = longs_at(live[s, LIVE_LISTS], seg.sizes[N_TERMS])
            if at_an_end(stats, options, cancel):
                cut_off(found[s], n_found[s], shift, stats)
                continue
            docs = halves_at(live[s, LIVE_NUMBERS], live[s, LIVE_DOCS])
            search_narrowed(
                lists, docs, found[s], n_found[s], work, live[s, LIVE_BASE], keys, stats,
                options, shift,
            )  # fmt: skip
            continue
        bitmap = words_at(live[s, LIVE_ADDRESS], live[s, LIVE_WORDS])
        if s + 1 < segments.shape[0]:
            following = open_view(segments[s + 1])
            if following.sizes[N_RANGES] == 1:
                ask_range(following, found[s + 1, 0], n_found[s + 1], 0)
        search_segment(
            open_view(segments[s]), found[s], n_found[s], bitmap, work,
            live[s, LIVE_BASE], keys, stats, options, shift, top, cancel,
        )  # fmt: skip
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
    segments : (n_segments, 14, 2) int64
        Address tables of the segments' views.
    live : (n_segments, N_LIVE) int64
        Which documents may appear, see `index.searchers.LiveBitmaps`.
    frame : (6, 2) int64
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
    words, longs, keys, key_scores, found, n_found = open_frame(frame, segments.shape[0])
    work = Workspace(lanes, words, longs, key_scores)
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
