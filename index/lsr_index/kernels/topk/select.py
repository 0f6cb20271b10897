"""Selection of the k largest integers by radix bisection, without sorting.

The k-th largest value is found bit by bit: each step counts how many values reach a level, a linear
pass in vector registers. The cost does not depend on the order or the ties of the input, unlike
that of partition-based top-k over mostly-zero scores.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.simd.masks import MASK, count_at_least


@kernel
def kth_largest(values, n, k):
    """The ``k``-th largest, as int64, of the first ``n`` values; ``1 <= k <= n``.

    ``values``, uint16 or uint32, has room up to the next multiple of 64; places beyond ``n`` become
    0.
    """
    padded = (n + MASK - 1) // MASK * MASK
    values[n:padded] = 0
    part = values[:padded]
    largest = part[0]
    for i in range(part.size):
        largest = part[i] if part[i] > largest else largest
    bit = np.int64(1)
    while bit << 1 <= np.int64(largest):
        bit <<= 1
    found = np.int64(0)
    while bit != 0:
        level = found | bit
        count = np.int64(0)
        for at in range(0, padded, MASK):
            count += count_at_least(values, at, np.uint32(level))
        found = level if count >= k else found
        bit >>= 1
    return found


@kernel
def select_largest(keys, n, k, scratch):
    """Move the ``k`` largest of ``n`` distinct uint64 keys to the front; return the smallest.

    Selects by scores, the upper halves of keys; by lower halves only among ties. The kept part
    stays in input order. ``scratch``, uint32, is the ``values`` of `kth_largest`.
    """
    for i in range(n):
        scratch[i] = np.uint32(keys[i] >> np.uint64(32))
    bound = np.uint64(kth_largest(scratch, n, k)) << np.uint64(32)
    reached = np.int64(0)
    for i in range(n):
        key = keys[i]
        keys[reached] = key
        reached += np.int64(key >= bound)
    if reached > k:
        n_ties = np.int64(0)
        for i in range(reached):
            scratch[n_ties] = np.uint32(keys[i] & np.uint64(0xFFFFFFFF))
            n_ties += np.int64(keys[i] >> np.uint64(32) == bound >> np.uint64(32))
        bound |= np.uint64(kth_largest(scratch, n_ties, n_ties - (reached - k)))
    kept = np.int64(0)
    smallest = np.uint64(0xFFFFFFFFFFFFFFFF)
    for i in range(reached):
        key = keys[i]
        keys[kept] = key
        kept += np.int64(key >= bound)
        smallest = min(smallest, key) if key >= bound else smallest
    return smallest
