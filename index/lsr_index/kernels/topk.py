"""Top-k buffer: keys of a query's best documents, reduced to the best ``k`` when it is full.

The selection is a radix bisection, without sorting: the k-th largest value is found bit by bit, and
each step counts how many values reach a level, a linear pass in vector registers. The cost does not
depend on the order or the ties of the input, unlike that of partition-based top-k over mostly-zero
scores.
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


@kernel
def hit_key(score, doc):
    """Key of a hit: orders by score, then by smaller ordinal."""
    return (np.uint64(score) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - np.uint64(doc))


@kernel
def shrink(keys, stats, k, threshold, scratch):
    """Reduce the buffer to its best ``k`` if it holds more; returns the raised threshold.

    ``scratch`` is that of `select_largest`.
    """
    if stats.count < k or (stats.count == k and stats.kth_key != 0):
        return threshold
    smallest = select_largest(keys, stats.count, k, scratch)
    stats.count = k
    stats.kth_key = smallest
    return max(threshold, np.int64(smallest >> np.uint64(32)))


@kernel
def sort_keys(keys, n, spare, histogram):
    """Sort the first ``n`` keys, ascending: insertion sort if few, else radix sort by bytes.

    Scratch: ``spare``, (>= n,) uint64, and ``histogram``, (>= 256,) int64.
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
def write_hits(keys, stats, k, unit, histogram, docs, scores, floats):
    """Write a query's hits, best first.

    Parameters
    ----------
    keys : (>= 2 k,) uint64
        The first ``stats.count``, at most ``k``, are hits.
    unit : float64
        Weight of one score unit.
    histogram : (>= 256,) int64
        Scratch.
    docs, scores, floats : (k,) int64, int64, float64
        Filled: hits, then -1 and 0; ``floats`` are scores as weights.
    """
    n = stats.count
    sort_keys(keys, n, keys[k:], histogram)
    for i in range(n):
        key = keys[n - 1 - i]
        score = np.int64(key >> np.uint64(32))
        docs[i] = np.int64(np.uint64(0xFFFFFFFF) - (key & np.uint64(0xFFFFFFFF)))
        scores[i] = score
        floats[i] = np.float64(score) * unit
    docs[n:] = -1
    scores[n:] = 0
    floats[n:] = 0.0
