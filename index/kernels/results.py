"""The running result of a query: a buffer of keys, cut back to the best ``k`` when full."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel
from index.kernels.scan import group_maxima
from index.kernels.select import keep_best, kth_largest
from index.kernels.views import GROUPS, HISTOGRAM, STAT_COUNT, STAT_KTH_KEY


@kernel
def estimate(work, acc, n_blocks, k, threshold):  # type: ignore[no-untyped-def]
    """Raise the threshold to about the k-th largest of group maxima of partial scores.

    Partial scores are lower bounds and groups are disjoint, so ``k`` documents reach the result.
    Valid only if every document is live.

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
    while n_groups < lanes and n_groups * n_blocks < 2 * k:
        n_groups = min(lanes, n_groups * 2)
    size = n_groups * n_blocks
    if size < k:
        return threshold
    groups = work.lanes[GROUPS]
    group_maxima(acc, groups, n_groups, n_blocks)
    found = np.int64(kth_largest(groups, size, k, work.longs[HISTOGRAM], True))
    return max(threshold, found)


@kernel
def push(keys, stats, k, score, doc, threshold, histogram):  # type: ignore[no-untyped-def]
    """Offer one exactly scored document; returns the possibly raised threshold.

    Parameters
    ----------
    keys : (> k,) uint64
        Buffer of the query.
    stats : (N_STATS,) int64
    k, score, doc, threshold : int64
    histogram : (>= 256,) int64

    Returns
    -------
    int64
    """
    key = (np.uint64(score) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - np.uint64(doc))
    if key <= np.uint64(stats[STAT_KTH_KEY]):
        return threshold
    count = stats[STAT_COUNT]
    keys[count] = key
    stats[STAT_COUNT] = count + 1
    if count + 1 == keys.size:
        return settle(keys, stats, k, threshold, histogram)
    return threshold


@kernel
def settle(keys, stats, k, threshold, histogram):  # type: ignore[no-untyped-def]
    """Cut the buffer to its best ``k`` if it holds as many; returns the threshold."""
    count = stats[STAT_COUNT]
    if count < k:
        return threshold
    smallest = keep_best(keys, count, k, histogram)
    stats[STAT_COUNT] = k
    stats[STAT_KTH_KEY] = smallest
    return max(threshold, np.int64(smallest >> np.uint64(32)))
