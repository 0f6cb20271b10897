"""Upper bounds of ranges, and thresholds that stored impacts prove."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import contribution
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import segment_at
from lsr_index.kernels.structs import N_RANGES, RANGE_BOUND, RANGE_ORDER


@kernel
def bound_threshold(threshold, alpha, top):
    """Threshold that upper bounds are compared with: ``ceil(threshold / alpha)``, at most ``top``.

    ``alpha`` is in 1/65536. No bound reaches ``top``, a uint32.
    """
    return min((threshold * 65536 + alpha - 1) // alpha, np.int64(top))


@kernel
def kth_impact_threshold(table, found, n, k, shift):
    """A score, int64, that at least ``k`` documents of the segment reach through a single term.

    0 if unknown (``k`` above 1,000).
    """
    seg = segment_at(table)
    best = np.int64(0)
    if k > 1000:
        return best
    column = 0 if k <= 10 else (1 if k <= 100 else 2)
    term_info, kth_impacts = seg.term_info, seg.kth_impacts
    for i in range(n):
        position = found[i].position
        if term_info.size != 0:
            impact = term_info[position].kth_impacts[column]
        else:
            impact = kth_impacts[position * 3 + column]
        best = max(best, np.int64(contribution(impact, found[i].weight, shift)))
    return best


@kernel
def order_ranges(table, found, n, shift, scratch):
    """Order the ranges of a segment by descending upper bound of a score.

    Fills ``RANGE_ORDER`` and ``RANGE_BOUND`` of ``scratch``, (N_SCRATCH, >= n_ranges) int64.
    """
    seg = segment_at(table)
    order, bounds = scratch[RANGE_ORDER], scratch[RANGE_BOUND]
    n_ranges, term_info, range_max = seg.sizes[N_RANGES], seg.term_info, seg.range_max
    for r in range(n_ranges):
        bound = np.int64(0)
        for i in range(n):
            position = found[i].position
            if term_info.size != 0:
                impact = term_info[position].max_impact
            else:
                impact = range_max[position * n_ranges + r]
            bound += contribution(impact, found[i].weight, shift)
        bounds[r] = bound
        at = r
        while at > 0 and bounds[order[at - 1]] < bound:
            order[at] = order[at - 1]
            at -= 1
        order[at] = r
