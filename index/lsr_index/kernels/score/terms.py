"""Dictionary lookup: positions of a query's terms in a segment."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import segment_at
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.structs import N_RANGES


@kernel
def lower_bound(values, wanted):
    """Position of the first value that is not smaller: branch-free binary search."""
    low = np.int64(0)
    left = np.int64(values.size)
    while left > 1:
        half = left >> 1
        low += half * np.int64(values[low + half - 1] < wanted)
        left -= half
    return low + np.int64(left == 1 and values[low] < wanted)


@kernel
def term_position(terms, term_positions, term):
    """Position of a term id in a segment's dictionary, -1 if unknown."""
    if term_positions.size != 0:
        return np.int64(term_positions[term]) if term < term_positions.size else np.int64(-1)
    low = lower_bound(terms, term)
    return low if low < terms.size and terms[low] == term else np.int64(-1)


@kernel
def find_terms(table, query_terms, query_weights, n_query, found):
    """Find the terms of a query in a segment's dictionary; returns the number of known ones.

    Fills ``found``. Prefetches the first reads of the search of each term.
    """
    seg = segment_at(table)
    terms, term_positions, n_ranges = seg.terms, seg.term_positions, seg.sizes[N_RANGES]
    for i in range(n_query):
        if query_terms[i] < term_positions.size:
            prefetch(term_positions, query_terms[i])
    n = 0
    for i in range(n_query):
        position = term_position(terms, term_positions, np.uint32(query_terms[i]))
        if position >= 0 and query_weights[i] > 0:
            found[n].position = position
            found[n].weight = query_weights[i]
            n += 1
            if seg.term_info.size != 0:
                prefetch(seg.term_info, position)
                continue
            prefetch(seg.kth_impacts, position * 3)
            prefetch(seg.row_of_term, position)
            prefetch(seg.range_max, position * n_ranges)
            prefetch(seg.offsets, position * n_ranges)
            prefetch(seg.offsets, position * n_ranges + n_ranges)
    return n
