"""Order statistics over integer scores: radix histograms instead of sorts or heaps.

A selection costs a few linear passes whatever the order or the ties of its input, so there is no
bad case (a partition-based top-k over mostly-zero scores has one).
"""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel


@kernel
def kth_largest(values, n, k, histogram):  # type: ignore[no-untyped-def]
    """Largest ``bound`` such that at least ``k`` of the first ``n`` values are ``>= bound``.

    When a radix bucket is needed as a whole the walk stops early, and ``bound`` is the bucket's
    lower edge; the set ``values >= bound`` is the same.

    Parameters
    ----------
    values : (>= n,) unsigned integer
    n, k : int64
        ``1 <= k <= n``.
    histogram : (256,) int64
        Scratch.

    Returns
    -------
    uint64
    """
    part = values[:n]
    largest = values[0]
    for i in range(part.size):
        largest = part[i] if part[i] > largest else largest
    top = np.uint64(largest)
    shift = np.uint64(0)
    while (top >> shift) > np.uint64(255):
        shift += np.uint64(1)
    prefix = np.uint64(0)
    wanted = k
    bits = np.uint64(8)
    mask = np.uint64(255)
    while True:
        histogram[:] = 0
        for i in range(part.size):
            value = np.uint64(part[i]) >> shift
            if (value >> bits) == prefix:
                histogram[np.int64(value & mask)] += 1
        digit = 255
        while histogram[digit] < wanted:
            wanted -= histogram[digit]
            digit -= 1
        prefix = (prefix << bits) | np.uint64(digit)
        if shift == np.uint64(0) or histogram[digit] == wanted:
            return prefix << shift
        bits = min(np.uint64(8), shift)
        mask = (np.uint64(1) << bits) - np.uint64(1)
        shift -= bits


@kernel
def keep_best(keys, n, k, histogram, scores):  # type: ignore[no-untyped-def]
    """Move the ``k`` largest of ``n`` distinct keys to the front and return the smallest of them.

    Scores, the upper halves of keys, are selected first: they have fewer digits.

    Parameters
    ----------
    keys : (>= n,) uint64
        Changed in place; order within the kept part is the input order.
    n, k : int64
        ``1 <= k <= n``.
    histogram : (256,) int64
        Scratch.
    scores : (>= n,) uint32
        Scratch.

    Returns
    -------
    uint64
        The k-th largest key.
    """
    for i in range(n):
        scores[i] = np.uint32(keys[i] >> np.uint64(32))
    level = np.uint64(kth_largest(scores, n, k, histogram)) << np.uint64(32)
    reached = np.int64(0)
    for i in range(n):
        key = keys[i]
        keys[reached] = key
        reached += np.int64(key >= level)
    bound = level
    if reached > k:
        bound = kth_largest(keys, reached, k, histogram)
    n = reached
    kept = 0
    smallest = np.uint64(0xFFFFFFFFFFFFFFFF)
    for i in range(n):
        key = keys[i]
        keys[kept] = key
        if key >= bound:
            kept += 1
            smallest = min(smallest, key)
    return smallest
