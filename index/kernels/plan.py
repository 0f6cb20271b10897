"""What a query costs and can reach in a segment and in one of its ranges, from stored counts."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel
from index.kernels.prefetch import prefetch
from index.kernels.views import (
    BEGIN,
    END,
    LOCAL,
    N_BLOCKS,
    N_DENSE,
    N_RANGES,
    ORDER,
    PEAK,
    RANGE_PEAK,
    RANGES,
    ROW,
    WEIGHT,
)


@kernel
def lower_bound(terms, wanted):  # type: ignore[no-untyped-def]
    """Position of the first term that is not smaller, without a branch to be mispredicted."""
    low = np.int64(0)
    left = np.int64(terms.size)
    while left > 1:
        half = left >> 1
        low += half * np.int64(terms[low + half - 1] < wanted)
        left -= half
    return low + np.int64(left == 1 and terms[low] < wanted)


@kernel
def place_of(seg, term):  # type: ignore[no-untyped-def]
    """Position of a term id in the segment's dictionary, -1 if it is not there."""
    terms, places = seg.terms, seg.places
    if places.size != 0:
        return np.int64(places[term]) if term < places.size else np.int64(-1)
    low = lower_bound(terms, term)
    return low if low < terms.size and terms[low] == term else np.int64(-1)


@kernel
def find_terms(seg, query_terms, query_weights, n_query, found):  # type: ignore[no-untyped-def]
    """Positions of the query's terms in the segment's dictionary; unknown terms are left out.

    Parameters
    ----------
    seg : SegmentView
    query_terms, query_weights : (>= n_query,) int64
    n_query : int64
    found : (2, >= n_query) int64
        Positions and weights; filled.

    Returns
    -------
    int64
        Number of known terms.
    """
    term_local, term_weight = found[0], found[1]
    places = seg.places
    n_ranges = seg.sizes[N_RANGES]
    for i in range(n_query):
        if query_terms[i] < places.size:
            prefetch(places, query_terms[i])
    n = 0
    for i in range(n_query):
        low = place_of(seg, np.uint32(query_terms[i]))
        if low >= 0 and query_weights[i] > 0:
            term_local[n] = low
            term_weight[n] = query_weights[i]
            n += 1
            prefetch(seg.kth_impacts, low * 3)
            prefetch(seg.row_of_term, low)
            prefetch(seg.range_max, low * n_ranges)
            prefetch(seg.offsets, low * n_ranges)
            prefetch(seg.offsets, low * n_ranges + n_ranges)
    return n


@kernel
def ask_range(seg, term_local, n, r):  # type: ignore[no-untyped-def]
    """Ask for what a search of a range begins with, while something else is being searched.

    Parameters
    ----------
    seg : SegmentView
    term_local : (>= n,) int64
    n, r : int64
    """
    n_ranges, n_blocks = seg.sizes[N_RANGES], seg.sizes[N_BLOCKS]
    base = seg.range_base[r]
    for i in range(n):
        local = term_local[i]
        row = np.int64(seg.row_of_term[local])
        if row >= 0:
            prefetch(seg.block_max, (r * seg.sizes[N_DENSE] + row) * n_blocks)
            continue
        begin = base + np.int64(seg.offsets[local * n_ranges + r])
        end = base + np.int64(seg.offsets[local * n_ranges + n_ranges + r])
        for at in range(begin, min(end, begin + 256), 32):
            prefetch(seg.slots, at)
        for at in range(begin, min(end, begin + 256), 64):
            prefetch(seg.impacts, at)


@kernel
def contribution(impact, weight, shift):  # type: ignore[no-untyped-def]
    """The one definition of what a term adds to a score: ``(impact * weight) >> shift``."""
    return np.int64((np.uint32(impact) * np.uint32(weight)) >> shift)


@kernel
def stored_threshold(kth_impacts, longs, n, k, shift):  # type: ignore[no-untyped-def]
    """A score that at least ``k`` documents of the segment reach through a single term.

    Parameters
    ----------
    kth_impacts : (n_terms * 3,) uint8
        10th, 100th and 1,000th largest impact of each term, 0 if there are fewer.
    longs : (N_LONGS, n) int64
    n, k : int64
    shift : uint32

    Returns
    -------
    int64
        0 if nothing is known (more than 1,000 wanted).
    """
    if k > 1000:
        return 0
    term_local, term_weight = longs[LOCAL], longs[WEIGHT]
    column = 0 if k <= 10 else (1 if k <= 100 else 2)
    best = 0
    for i in range(n):
        impact = kth_impacts[term_local[i] * 3 + column]
        best = max(best, contribution(impact, term_weight[i], shift))
    return best


@kernel
def order_ranges(seg, longs, n, shift):  # type: ignore[no-untyped-def]
    """Ranges in descending order of the largest score they can hold.

    Parameters
    ----------
    seg : SegmentView
    longs : (N_LONGS, n) int64
        ``RANGES`` and ``RANGE_PEAK`` are filled.
    n : int64
        Number of known query terms.
    shift : uint32
    """
    term_local, term_weight = longs[LOCAL], longs[WEIGHT]
    range_order, range_peak = longs[RANGES], longs[RANGE_PEAK]
    n_ranges = seg.sizes[N_RANGES]
    range_max = seg.range_max
    for r in range(n_ranges):
        peak = 0
        for i in range(n):
            impact = range_max[term_local[i] * n_ranges + r]
            peak += contribution(impact, term_weight[i], shift)
        range_peak[r] = peak
        at = r
        while at > 0 and range_peak[range_order[at - 1]] < peak:
            range_order[at] = range_order[at - 1]
            at -= 1
        range_order[at] = r


@kernel
def plan_range(seg, longs, r, n, shift):  # type: ignore[no-untyped-def]
    """Lists, rows and peaks of the query's terms in a range, and the order to add them in.

    Terms with lists come first, the others follow by descending peak.

    Parameters
    ----------
    seg : SegmentView
    longs : (N_LONGS, n) int64
        ``BEGIN``, ``END``, ``PEAK``, ``ROW`` and ``ORDER`` are filled.
    r, n : int64
    shift : uint32

    Returns
    -------
    int64
        Number of terms with lists.
    """
    term_local, term_weight, order = longs[LOCAL], longs[WEIGHT], longs[ORDER]
    term_begin, term_end = longs[BEGIN], longs[END]
    term_peak, term_row = longs[PEAK], longs[ROW]
    range_max, offsets, row_of_term = seg.range_max, seg.offsets, seg.row_of_term
    n_ranges = seg.sizes[N_RANGES]
    base = seg.range_base[r]
    n_lists = 0
    n_rows = 0
    for i in range(n):
        local = term_local[i]
        at = local * n_ranges + r
        term_peak[i] = contribution(range_max[at], term_weight[i], shift)
        row = np.int64(row_of_term[local])
        if row < 0:
            begin = base + np.int64(offsets[at])
            term_begin[i] = begin
            term_end[i] = base + np.int64(offsets[at + n_ranges])
            for line in range(4):
                prefetch(seg.slots, begin + line * 32)
                prefetch(seg.impacts, begin + line * 64)
            order[n_lists] = i
            n_lists += 1
        else:
            term_row[i] = r * seg.sizes[N_DENSE] + row
            cell = term_row[i] * seg.sizes[N_BLOCKS]
            for line in range(0, seg.sizes[N_BLOCKS], 64):
                prefetch(seg.block_max, cell + line)
            n_rows += 1
            order[n - n_rows] = i
    for i in range(n_lists + 1, n):
        moved = order[i]
        peak = term_peak[moved]
        at = i
        while at > n_lists and term_peak[order[at - 1]] < peak:
            order[at] = order[at - 1]
            at -= 1
        order[at] = moved
    return n_lists
