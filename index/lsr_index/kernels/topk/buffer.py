"""The running result of a query: a buffer of keys, cut back to the best ``k`` when full."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.structs import STAT_COUNT, STAT_KTH_KEY
from lsr_index.kernels.topk.select import keep_best


@kernel
def hit_key(score, doc):  # type: ignore[no-untyped-def]
    """The key of a hit: orders by score, then by smaller document."""
    return (np.uint64(score) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - np.uint64(doc))


@kernel
def settle(keys, stats, k, threshold, scratch):  # type: ignore[no-untyped-def]
    """Cut the buffer to its best ``k`` if it holds more; returns the threshold.

    ``scratch`` is as `lsr_index.kernels.topk.select.keep_best` takes it.
    """
    count = stats[STAT_COUNT]
    if count < k or (count == k and stats[STAT_KTH_KEY] != 0):
        return threshold
    smallest = keep_best(keys, count, k, scratch)
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
    differing = np.uint64(0)
    for i in range(n):
        differing |= keys[i] ^ keys[0]
    source, target = keys[:n], spare[:n]
    moved = False
    for digit in range(8):
        shift = np.uint64(8 * digit)
        if (differing >> shift) & mask == np.uint64(0):
            continue
        histogram[:256] = 0
        for i in range(n):
            histogram[np.int64((source[i] >> shift) & mask)] += 1
        place = np.int64(0)
        for value in range(256):
            count = histogram[value]
            histogram[value] = place
            place += count
        for i in range(n):
            key = source[i]
            value = np.int64((key >> shift) & mask)
            target[histogram[value]] = key
            histogram[value] += 1
        source, target = target, source
        moved = not moved
    if moved:
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
    docs, scores : (>= k,) int64
        Filled: the first `STAT_COUNT` places are hits, the others -1 and 0.
    floats : (>= k,) float64
        Filled, scores as weights.
    """
    n = stats[STAT_COUNT]
    sort_keys(keys, n, keys[k:], histogram)
    for i in range(n):
        key = keys[n - 1 - i]
        score = np.int64(key >> np.uint64(32))
        docs[i] = np.int64(np.uint64(0xFFFFFFFF) - (key & np.uint64(0xFFFFFFFF)))
        scores[i] = score
        floats[i] = np.float64(score) * factor
    docs[n:] = -1
    scores[n:] = 0
    floats[n:] = 0.0
