"""What a query costs and can reach in a segment and in one of its ranges, from stored counts."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import open_view
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.structs import (
    BEGIN,
    CARD_BEGIN,
    CARD_END,
    CARD_IMPACTS,
    CARD_ROW,
    END,
    LOCAL,
    N_BLOCKS,
    N_CARD,
    N_DENSE,
    N_RANGES,
    ORDER,
    PEAK,
    RANGE_PEAK,
    RANGES,
    ROW,
    WEIGHT,
)

# Postings of a list that are asked for ahead.
_ASKED = 512


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
def place_of(terms, places, term):  # type: ignore[no-untyped-def]
    """Position of a term id in a segment's dictionary, -1 if it is not there."""
    if places.size != 0:
        return np.int64(places[term]) if term < places.size else np.int64(-1)
    low = lower_bound(terms, term)
    return low if low < terms.size and terms[low] == term else np.int64(-1)


@kernel
def find_terms(table, query_terms, query_weights, n_query, found):  # type: ignore[no-untyped-def]
    """Positions of the query's terms in the segment's dictionary; unknown terms are left out.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    query_terms, query_weights : (>= n_query,) int64
    n_query : int64
    found : (2, >= n_query) int64
        Positions and weights; filled.

    Returns
    -------
    int64
        Number of known terms.
    """
    seg = open_view(table)
    term_local, term_weight = found[0], found[1]
    terms, places, n_ranges = seg.terms, seg.places, seg.sizes[N_RANGES]
    for i in range(n_query):
        if query_terms[i] < places.size:
            prefetch(places, query_terms[i])
    n = 0
    for i in range(n_query):
        low = place_of(terms, places, np.uint32(query_terms[i]))
        if low >= 0 and query_weights[i] > 0:
            term_local[n] = low
            term_weight[n] = query_weights[i]
            n += 1
            if seg.cards.size != 0:
                prefetch(seg.cards, low * N_CARD)
                continue
            prefetch(seg.kth_impacts, low * 3)
            prefetch(seg.row_of_term, low)
            prefetch(seg.range_max, low * n_ranges)
            prefetch(seg.offsets, low * n_ranges)
            prefetch(seg.offsets, low * n_ranges + n_ranges)
    return n


@kernel
def contribution(impact, weight, shift):  # type: ignore[no-untyped-def]
    """The one definition of what a term adds to a score: ``(impact * weight) >> shift``."""
    return np.int64((np.uint32(impact) * np.uint32(weight)) >> shift)


@kernel
def scaled(threshold, alpha, top):  # type: ignore[no-untyped-def]
    """Threshold that bounds are compared with: ``ceil(threshold / alpha)``, alpha in 1/65536.

    Never above ``top``, which no bound reaches.
    """
    return min((threshold * 65536 + alpha - 1) // alpha, np.int64(top))


@kernel
def stored_threshold(table, longs, n, k, shift):  # type: ignore[no-untyped-def]
    """A score that at least ``k`` documents of the segment reach through a single term.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    longs : (N_LONGS, n) int64
    n, k : int64
    shift : uint32

    Returns
    -------
    int64
        0 if nothing is known (more than 1,000 wanted).
    """
    seg = open_view(table)
    if k > 1000:
        return 0
    term_local, term_weight = longs[LOCAL], longs[WEIGHT]
    column = 0 if k <= 10 else (1 if k <= 100 else 2)
    best = 0
    cards, kth_impacts = seg.cards, seg.kth_impacts
    for i in range(n):
        if cards.size != 0:
            impacts = cards[term_local[i] * N_CARD + CARD_IMPACTS]
            impact = (impacts >> np.uint32(8 * column + 8)) & np.uint32(255)
        else:
            impact = np.uint32(kth_impacts[term_local[i] * 3 + column])
        best = max(best, contribution(impact, term_weight[i], shift))
    return best


@kernel
def order_ranges(table, longs, n, shift):  # type: ignore[no-untyped-def]
    """Ranges in descending order of the largest score they can hold.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    longs : (N_LONGS, n) int64
        ``RANGES`` and ``RANGE_PEAK`` are filled.
    n : int64
        Number of known query terms.
    shift : uint32
    """
    seg = open_view(table)
    term_local, term_weight = longs[LOCAL], longs[WEIGHT]
    range_order, range_peak = longs[RANGES], longs[RANGE_PEAK]
    n_ranges, cards, range_max = seg.sizes[N_RANGES], seg.cards, seg.range_max
    for r in range(n_ranges):
        peak = 0
        for i in range(n):
            if cards.size != 0:
                impact = cards[term_local[i] * N_CARD + CARD_IMPACTS] & np.uint32(255)
            else:
                impact = np.uint32(range_max[term_local[i] * n_ranges + r])
            peak += contribution(impact, term_weight[i], shift)
        range_peak[r] = peak
        at = r
        while at > 0 and range_peak[range_order[at - 1]] < peak:
            range_order[at] = range_order[at - 1]
            at -= 1
        range_order[at] = r


@kernel
def plan_range(table, longs, r, n, shift):  # type: ignore[no-untyped-def]
    """Lists, rows and peaks of the query's terms in a range, and the order to add them in.

    Terms with lists come first, the others follow by descending peak.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    longs : (N_LONGS, n) int64
        ``BEGIN``, ``END``, ``PEAK``, ``ROW`` and ``ORDER`` are filled.
    r, n : int64
    shift : uint32

    Returns
    -------
    int64
        Number of terms with lists.
    """
    seg = open_view(table)
    term_local, term_weight, order = longs[LOCAL], longs[WEIGHT], longs[ORDER]
    term_begin, term_end = longs[BEGIN], longs[END]
    term_peak, term_row = longs[PEAK], longs[ROW]
    cards, range_max, offsets, row_of_term = (
        seg.cards,
        seg.range_max,
        seg.offsets,
        seg.row_of_term,
    )
    n_ranges = seg.sizes[N_RANGES]
    base = seg.range_base[r]
    n_lists = 0
    n_rows = 0
    for i in range(n):
        if cards.size != 0:
            card = term_local[i] * N_CARD
            impact = cards[card + CARD_IMPACTS] & np.uint32(255)
            row = np.int64(np.int32(cards[card + CARD_ROW]))
            begin, end = np.int64(cards[card + CARD_BEGIN]), np.int64(cards[card + CARD_END])
        else:
            at = term_local[i] * n_ranges + r
            impact = np.uint32(range_max[at])
            row = np.int64(row_of_term[term_local[i]])
            begin, end = np.int64(offsets[at]), np.int64(offsets[at + n_ranges])
        term_peak[i] = contribution(impact, term_weight[i], shift)
        if row < 0:
            term_begin[i] = base + begin
            term_end[i] = base + end
            order[n_lists] = i
            n_lists += 1
        else:
            term_row[i] = r * seg.sizes[N_DENSE] + row
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


@kernel
def ask_plan(table, plan, n_lists, n):  # type: ignore[no-untyped-def]
    """Ask for what a search of a range begins with, while something else is being searched.

    Short lists are asked for as a whole.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
    plan : (N_PLAN, n) int64
        See `plan_range`.
    n_lists, n : int64
    """
    seg = open_view(table)
    n_blocks = seg.sizes[N_BLOCKS]
    for i in range(n_lists):
        t = plan[ORDER, i]
        begin, end = plan[BEGIN, t], min(plan[END, t], plan[BEGIN, t] + _ASKED)
        for at in range(begin, end, 32):
            prefetch(seg.slots, at)
        for at in range(begin, end, 64):
            prefetch(seg.impacts, at)
    for i in range(n_lists, n):
        cell = plan[ROW, plan[ORDER, i]] * n_blocks
        for at in range(cell, cell + n_blocks, 64):
            prefetch(seg.block_max, at)
