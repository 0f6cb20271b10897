"""The scores of given documents, looked up posting by posting: for dozens of them, not thousands.

A search adds up whole lists; for a hundred documents it is far less work to find each in each list.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import carray, open_view, pointer
from lsr_index.kernels.score.bounds import contribution, find_terms
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.structs import N_DENSE, N_RANGES, RANGE_SIZE

NOWHERE = 0xFFFFFFFF
"""Place of a document that the layout does not have."""


@kernel
def place_documents(seg, slots_of, docs, first, last, rows, places):  # type: ignore[no-untyped-def]
    """Find where the documents of one segment stand.

    Parameters
    ----------
    seg : SegmentView
    slots_of : (n_docs,) or (0,) uint32
        Slot of each document, counted through the ranges; empty where it is the document's number.
    docs : (m,) int64
    first, last : int64
        The segment holds the documents ``first`` to ``last - 1``.
    rows : (>= m,) int64
        Filled: positions in `docs`.
    places : (2, >= m) int64
        Filled: range and slot within it.

    Returns
    -------
    int64
        How many there are.
    """
    size = seg.sizes[RANGE_SIZE]
    n = 0
    for i in range(docs.size):
        if docs[i] < first or docs[i] >= last:
            continue
        slot = docs[i] - first
        if slots_of.size:
            if slots_of[slot] == NOWHERE:
                continue
            slot = np.int64(slots_of[slot])
        rows[n] = i
        places[0, n] = slot // size
        places[1, n] = slot % size
        n += 1
    return n


@kernel
def listed_impact(seg, begin, end, slot):  # type: ignore[no-untyped-def]
    """Impact of a slot in the postings ``begin`` to ``end - 1``, whose slots rise; 0: not there."""
    low = begin
    left = end - begin
    while left > 1:
        half = left >> 1
        low += half * np.int64(np.int64(seg.slots[low + half - 1]) < slot)
        left -= half
    low += np.int64(left == 1 and np.int64(seg.slots[low]) < slot)
    if low < end and np.int64(seg.slots[low]) == slot:
        return seg.impacts[low]
    return np.uint8(0)


@kernel
def add_term(seg, local, weight, shift, n, rows, places, scores):  # type: ignore[no-untyped-def]
    """Add what one term gives to documents.

    Parameters
    ----------
    seg : SegmentView
    local : int64
        Position of the term in the segment.
    weight, shift : uint32
    n : int64
    rows, places
        As `place_documents` filled them.
    scores : (m,) int64
    """
    n_ranges, size = seg.sizes[N_RANGES], seg.sizes[RANGE_SIZE]
    row = np.int64(seg.row_of_term[local])
    if row >= 0:
        for i in range(n):
            cell = (places[0, i] * seg.sizes[N_DENSE] + row) * size + places[1, i]
            scores[rows[i]] += contribution(seg.rows[cell], weight, shift)
        return
    for i in range(n):
        at = local * n_ranges + places[0, i]
        begin = seg.range_base[places[0, i]] + np.int64(seg.offsets[at])
        end = seg.range_base[places[0, i]] + np.int64(seg.offsets[at + n_ranges])
        impact = listed_impact(seg, begin, end, places[1, i])
        scores[rows[i]] += contribution(impact, weight, shift)


@kernel
def score_given(segments, slot_maps, bases, terms, weights, shift, docs, scores):  # type: ignore[no-untyped-def]
    """Add the integer scores of documents.

    Parameters
    ----------
    segments : (n_segments, 14, 2) int64
        Tables of addresses, see `lsr_index.kernels.pointers.open_view`.
    slot_maps : (n_segments, 2) int64
        Addresses and lengths of each segment's ``slots_of``; see `place_documents`.
    bases : (n_segments + 1,) int64
        First document of each segment.
    terms, weights : (n,) int64
        Integer weights; together they keep every score within the accumulators of a search.
    shift : uint32
    docs : (m,) int64
    scores : (m,) int64
        Zeros; a document that shares no term with the query keeps its own.
    """
    found = np.empty((2, terms.size), np.int64)
    rows = np.empty(docs.size, np.int64)
    places = np.empty((2, docs.size), np.int64)
    for s in range(slot_maps.shape[0]):
        seg = open_view(segments[s])
        slots_of = carray(pointer(slot_maps[s, 0]), slot_maps[s, 1], np.uint32)
        n = place_documents(seg, slots_of, docs, bases[s], bases[s + 1], rows, places)
        if n == 0:
            continue
        n_terms = find_terms(segments[s], terms, weights, terms.size, found)
        for t in range(n_terms):
            for i in range(n):
                prefetch(seg.offsets, found[0, t] * seg.sizes[N_RANGES] + places[0, i])
            add_term(seg, found[0, t], np.uint32(found[1, t]), shift, n, rows, places, scores)
