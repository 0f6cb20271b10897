"""The running result of a query: a buffer of keys, cut back to the best ``k`` when full."""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel
from index.kernels.mask import LANES, at_least_mask, lowest_bit
from index.kernels.scan import group_maxima
from index.kernels.select import keep_best, kth_largest
from index.kernels.views import GROUPS, HISTOGRAM, SCORES, STAT_COUNT, STAT_KTH_KEY


@kernel
def select_above(values, size, level, out):  # type: ignore[no-untyped-def]
    """Values of at least ``level`` among the first ``size``; returns their number.

    Parameters
    ----------
    values : (>= size,) uint16 or uint32
    size : int64
    level : int64
        At most the top bit of an accumulator.
    out : (>= size,) uint32
        Filled.

    Returns
    -------
    int64
    """
    n = np.int64(0)
    whole = size - size % LANES
    for at in range(0, whole, LANES):
        mask = at_least_mask(values, at, np.uint32(level))
        while mask != np.uint64(0):
            out[n] = values[at + lowest_bit(mask)]
            mask &= mask - np.uint64(1)
            n += 1
    for i in range(whole, size):
        out[n] = values[i]
        n += np.int64(np.int64(values[i]) >= level)
    return n


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
    while n_groups < lanes and n_groups * n_blocks < 4 * k:
        n_groups = min(lanes, n_groups * 2)
    size = n_groups * n_blocks
    if size < k:
        return threshold
    groups = work.lanes[GROUPS]
    group_maxima(acc, groups, n_groups, n_blocks)
    # Only what beats the present threshold can raise it, and that is little.
    scores = work.words[SCORES]
    n = select_above(groups, size, threshold + 1, scores)
    if n < k:
        return threshold
    return max(threshold, np.int64(kth_largest(scores, n, k, work.longs[HISTOGRAM], False)))


@kernel
def hit_key(score, doc):  # type: ignore[no-untyped-def]
    """The key of a hit: orders by score, then by smaller document."""
    return (np.uint64(score) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - np.uint64(doc))


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
    key = hit_key(score, doc)
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


@kernel
def sort_keys(keys, n, spare, histogram):  # type: ignore[no-untyped-def]
    """Sort the first ``n`` keys, ascending: by insertion if few, else digit by digit.

    Parameters
    ----------
    keys : (>= n,) uint64
    n : int64
    spare : (>= n,) uint64
        Scratch.
    histogram : (>= 256,) int64
        Scratch.
    """
    if n <= 64:
        for i in range(1, n):
            key = keys[i]
            at = i
            while at > 0 and keys[at - 1] > key:
                keys[at] = keys[at - 1]
                at -= 1
            keys[at] = key
        return
    mask = np.uint64(255)
    for digit in range(8):
        shift = np.uint64(8 * digit)
        histogram[:256] = 0
        for i in range(n):
            histogram[np.int64((keys[i] >> shift) & mask)] += 1
        if histogram[np.int64((keys[0] >> shift) & mask)] == n:
            continue  # the digit is the same everywhere
        place = np.int64(0)
        for value in range(256):
            count = histogram[value]
            histogram[value] = place
            place += count
        for i in range(n):
            key = keys[i]
            value = np.int64((key >> shift) & mask)
            spare[histogram[value]] = key
            histogram[value] += 1
        keys[:n] = spare[:n]


@kernel
def rank(keys, stats, k, factor, histogram, docs, scores, floats):  # type: ignore[no-untyped-def]
    """Write a query's hits, best first.

    Parameters
    ----------
    keys : (>= 2 k,) uint64
        At most ``k`` of them in use.
    stats : (N_STATS,) int64
    k : int64
    factor : float64
        Weight of one score unit.
    histogram : (>= 256,) int64
    docs, scores, floats : (k,) int64, int64, float64
        The first `STAT_COUNT` places are filled.
    """
    n = stats[STAT_COUNT]
    sort_keys(keys, n, keys[k:], histogram)
    for i in range(n):
        key = keys[n - 1 - i]
        score = np.int64(key >> np.uint64(32))
        docs[i] = np.int64(np.uint64(0xFFFFFFFF) - (key & np.uint64(0xFFFFFFFF)))
        scores[i] = score
        floats[i] = np.float64(score) * factor
