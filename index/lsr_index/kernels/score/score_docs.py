"""Scores of documents by ordinal, looked up posting by posting.

For dozens of documents: a binary search in each list is far less work than adding up whole posting
lists, as a search does.
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
    """Find range and slot of the documents ``first`` to ``last - 1`` of one segment.

    Parameters
    ----------
    slots_of : (n_docs,) or (0,) uint32
        Slot of each document through all ranges; empty where it is the document's number.
    docs : (m,) int64
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
    """Impact of a slot in the postings ``begin`` to ``end - 1``, slots ascending; 0: absent."""
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
    """Add the contributions of the term at a position of the dictionary to ``scores``, (m,) int64.

    ``positions`` and ``locations`` are those of `locate_documents`, ``n`` documents.
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
    slot_maps : (n_segments, 2) int64
        Addresses and lengths of each segment's ``slots_of``; see `locate_documents`.
    bases : (n_segments + 1,) int64
        First document of each segment.
    terms, weights : (n,) int64
        Integer weights; together they keep every score within the accumulators of a search.
    docs, scores : (m,) int64
        Scores are zeros; a document that shares no term with the query keeps its own.
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
