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
    int
    """
    top = np.uint64(0)
    for i in range(n):
        top = max(top, np.uint64(values[i]))
    shift = np.uint64(0)
    while (top >> shift) > np.uint64(255):
        shift += np.uint64(8)
    prefix = np.uint64(0)
    wanted = k
    while True:
        histogram[:] = 0
        for i in range(n):
            value = np.uint64(values[i]) >> shift
            if (value >> np.uint64(8)) == prefix:
                histogram[np.int64(value & np.uint64(255))] += 1
        digit = 255
        while histogram[digit] < wanted:
            wanted -= histogram[digit]
            digit -= 1
        prefix = (prefix << np.uint64(8)) | np.uint64(digit)
        if shift == np.uint64(0) or histogram[digit] == wanted:
            return prefix << shift
        shift -= np.uint64(8)


@kernel
def keep_best(keys, n, k, histogram):  # type: ignore[no-untyped-def]
    """Move the ``k`` largest of ``n`` distinct keys to the front and return the smallest of them.

    Parameters
    ----------
    keys : (>= n,) uint64
        Changed in place; order within the kept part is the input order.
    n, k : int64
        ``1 <= k <= n``.
    histogram : (256,) int64
        Scratch.

    Returns
    -------
    uint64
        The k-th largest key.
    """
    bound = kth_largest(keys, n, k, histogram)
    kept = 0
    smallest = np.uint64(0xFFFFFFFFFFFFFFFF)
    for i in range(n):
        key = keys[i]
        keys[kept] = key
        if key >= bound:
            kept += 1
            smallest = min(smallest, key)
    return smallest
