"""Scores of documents by ordinal, looked up posting by posting: for dozens of them, not thousands.

A search adds up whole posting lists; for a hundred documents a binary search in each list is far
less work.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import contribution
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import segment_at, uint32_at
from lsr_index.kernels.score.terms import find_terms
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.structs import N_DENSE, N_RANGES, RANGE_SIZE, TERM

NO_SLOT = 0xFFFFFFFF
"""Slot of a document that the layout does not have."""


@kernel
def locate_documents(seg, slots_of, docs, first, last, positions, locations):
    """Find range and slot of the documents that are in one segment.

    Parameters
    ----------
    seg : SegmentView
    slots_of : (n_docs,) or (0,) uint32
        Slot of each document, counted through the ranges; empty where it is the document's number.
    docs : (m,) int64
    first, last : int64
        The segment holds the documents ``first`` to ``last - 1``.
    positions : (>= m,) int64
        Filled: positions in `docs`.
    locations : (2, >= m) int64
        Filled: range and slot within it.

    Returns
    -------
    int64
        Number of documents located.
    """
    size = seg.sizes[RANGE_SIZE]
    n = 0
    for i in range(docs.size):
        if docs[i] < first or docs[i] >= last:
            continue
        slot = docs[i] - first
        if slots_of.size:
            if slots_of[slot] == NO_SLOT:
                continue
            slot = np.int64(slots_of[slot])
        positions[n] = i
        locations[0, n] = slot // size
        locations[1, n] = slot % size
        n += 1
    return n


@kernel
def impact_in_list(seg, begin, end, slot):
    """Impact of a slot in the postings ``begin`` to ``end - 1``, slots ascending; 0: not there."""
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
def add_term(seg, term, weight, shift, n, positions, locations, scores):
    """Add the contributions of one term to the scores of documents.

    Parameters
    ----------
    seg : SegmentView
    term : int64
        Position of the term in the segment.
    weight, shift : uint32
    n : int64
    positions, locations
        As `locate_documents` filled them.
    scores : (m,) int64
    """
    n_ranges, size = seg.sizes[N_RANGES], seg.sizes[RANGE_SIZE]
    row = np.int64(seg.row_of_term[term])
    if row >= 0:
        for i in range(n):
            cell = (locations[0, i] * seg.sizes[N_DENSE] + row) * size + locations[1, i]
            scores[positions[i]] += contribution(seg.rows[cell], weight, shift)
        return
    for i in range(n):
        at = term * n_ranges + locations[0, i]
        begin = seg.range_base[locations[0, i]] + np.int64(seg.offsets[at])
        end = seg.range_base[locations[0, i]] + np.int64(seg.offsets[at + n_ranges])
        impact = impact_in_list(seg, begin, end, locations[1, i])
        scores[positions[i]] += contribution(impact, weight, shift)


@kernel
def score_documents(segments, slot_maps, bases, terms, weights, shift, docs, scores):
    """Add the integer scores of documents.

    Parameters
    ----------
    segments : (n_segments, 15, 2) int64
        Address tables, see `lsr_index.kernels.pointers.segment_at`.
    slot_maps : (n_segments, 2) int64
        Addresses and lengths of each segment's ``slots_of``; see `locate_documents`.
    bases : (n_segments + 1,) int64
        First document of each segment.
    terms, weights : (n,) int64
        Integer weights; together they keep every score within the accumulators of a search.
    shift : uint32
    docs : (m,) int64
    scores : (m,) int64
        Zeros; a document that shares no term with the query keeps its own.
    """
    found = np.empty(terms.size, TERM)
    positions = np.empty(docs.size, np.int64)
    locations = np.empty((2, docs.size), np.int64)
    for s in range(slot_maps.shape[0]):
        seg = segment_at(segments[s])
        slots_of = uint32_at(slot_maps[s, 0], slot_maps[s, 1])
        n = locate_documents(seg, slots_of, docs, bases[s], bases[s + 1], positions, locations)
        if n == 0:
            continue
        n_terms = find_terms(segments[s], terms, weights, terms.size, found)
        for t in range(n_terms):
            term, weight = found[t].position, np.uint32(found[t].weight)
            for i in range(n):
                prefetch(seg.offsets, term * seg.sizes[N_RANGES] + locations[0, i])
            add_term(seg, term, weight, shift, n, positions, locations, scores)
