"""The hot loops over one range: scatter postings, add rows, bound blocks, take block maxima.

Overflow. ``contribution(impact, weight) = (impact * weight) >> shift``. Query weights are made so
that ``sum((255 * weight) >> shift) < top`` where ``top`` is the accumulator's highest bit
(2**15 for uint16, 2**31 for uint32), and ``impact * weight < 2**31``. An accumulator or a sum of
bounds holds each query term at most once, so no sum reaches ``top``.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.simd.masks import UNIT
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.simd.vectors import add_pair, add_unit, unit_max, unit_max_all, unit_maxima

# Postings between two requests, and how far ahead of the loop they are: about 100 ns of work.
_STEP = 64
_AHEAD = 384


@kernel
def scatter(acc, slots, impacts, begin, end, weight, shift):  # type: ignore[no-untyped-def]
    """Add one posting list of one range to the accumulators.

    Parameters
    ----------
    acc : (range_size,) uint16 or uint32
    slots : (n_postings,) uint16
    impacts : (n_postings,) uint8
    begin, end : int64
        The list is ``slots[begin:end]``.
    weight, shift : uint32
    """
    at = begin
    while at < end:
        if at + _AHEAD < end:
            prefetch(slots, at + _AHEAD)
            prefetch(slots, at + _AHEAD + _STEP // 2)
            prefetch(impacts, at + _AHEAD)
        stop = min(at + _STEP, end)
        for j in range(np.uint64(at), np.uint64(stop)):
            acc[slots[j]] += (np.uint32(impacts[j]) * weight) >> shift
        at = stop


@kernel
def add_row(acc, rows, row, weight):  # type: ignore[no-untyped-def]
    """Add one term's row of impacts to all accumulators of a range.

    Parameters
    ----------
    acc : (range_size,) uint16 or uint32
        ``range_size`` is a multiple of 64.
    rows : (n,) uint8
    row : int64
        The row is ``rows[row : row + range_size]``.
    weight : uint32
    """
    for at in range(0, acc.size, 2 * UNIT):
        add_pair(acc, at, rows, row + at, weight)


@kernel
def add_bounds(bounds, block_max, cell, weight, shift):  # type: ignore[no-untyped-def]
    """Add one term's largest possible contribution per block.

    Parameters
    ----------
    bounds : (n_blocks,) uint16 or uint32
    block_max : (n_bounds,) uint8
    cell : int64
        The term's bounds are ``block_max[cell : cell + n_blocks]``.
    weight, shift : uint32
    """
    whole = bounds.size - bounds.size % UNIT
    for at in range(0, whole, UNIT):
        add_unit(bounds, at, block_max, cell + at, weight)
    for b in range(whole, bounds.size):
        bounds[b] += (np.uint32(block_max[cell + b]) * weight) >> shift


@kernel
def take_bounds(bounds, block_max, cell, weight, shift):  # type: ignore[no-untyped-def]
    """Take one term's bounds off again; a bound that was dropped to 0 stays there."""
    for b in range(bounds.size):
        added = (np.uint32(block_max[cell + b]) * weight) >> shift
        bounds[b] -= min(np.uint32(bounds[b]), np.uint32(added))


@kernel
def live_unit(live, unit):  # type: ignore[no-untyped-def]
    """Bits of the 16 documents from slot ``16 * unit`` of the segment; 0 beyond the bitmap."""
    word = unit >> 2
    if word >= live.size:
        return np.uint64(0)
    return (live[word] >> np.uint64((unit & 3) * UNIT)) & np.uint64(0xFFFF)


@kernel
def block_maximum(acc, live, first_slot, begin, block_size):  # type: ignore[no-untyped-def]
    """Largest accumulator of a live document in the block that begins at slot ``begin``."""
    best = np.uint32(0)
    for at in range(begin, begin + block_size, UNIT):
        if live.size == 0:
            best = max(best, unit_max_all(acc, at))
        else:
            best = max(best, unit_max(acc, at, live_unit(live, (first_slot + at) // UNIT)))
    return best


@kernel
def all_maxima(acc, block_size, maxima):  # type: ignore[no-untyped-def]
    """Largest accumulator of each block."""
    if block_size == UNIT:
        n_blocks = acc.size // UNIT
        whole = n_blocks - n_blocks % UNIT
        for b in range(0, whole, UNIT):
            unit_maxima(acc, b * UNIT, maxima, b)
        for b in range(whole, n_blocks):
            maxima[b] = unit_max_all(acc, b * UNIT)
        return
    for b in range(acc.size // block_size):
        best = np.uint32(0)
        for at in range(b * block_size, (b + 1) * block_size, UNIT):
            best = max(best, unit_max_all(acc, at))
        maxima[b] = best


@kernel
def live_maxima(acc, live, first_slot, maxima, bounds):  # type: ignore[no-untyped-def]
    """The same of the live documents, for blocks of 16; see `block_maxima`."""
    first_word = first_slot // 64
    for w in range(acc.size // 64):
        word = live[first_word + w] if first_word + w < live.size else np.uint64(0)
        b = w * 4
        if word == np.uint64(0):
            maxima[b : b + 4] = 0
            bounds[b : b + 4] = 0
            continue
        for _ in range(4):
            alive = word & np.uint64(0xFFFF)
            word >>= np.uint64(UNIT)
            maxima[b] = unit_max(acc, b * UNIT, alive)
            if alive == np.uint64(0):
                bounds[b] = 0
            b += 1


@kernel
def has_live(live, first_slot, begin, block_size):  # type: ignore[no-untyped-def]
    """Whether a block holds a live document."""
    alive = np.uint64(0)
    for at in range(begin, begin + block_size, UNIT):
        alive |= live_unit(live, (first_slot + at) // UNIT)
    return alive != np.uint64(0)


@kernel
def block_maxima(acc, live, first_slot, block_size, maxima, bounds):  # type: ignore[no-untyped-def]
    """Largest accumulator of a live document in each block; blocks of the dead lose their bound.

    Parameters
    ----------
    acc : (n_blocks * block_size,) uint16 or uint32
    live : (n_words,) uint64
        Empty: all live.
    first_slot : int64
        Slot of the segment at which the range begins.
    block_size : int64
        A multiple of 16.
    maxima, bounds : (>= n_blocks,) same dtype
        ``maxima`` is filled; ``bounds`` becomes 0 where no document of the block is live.
    """
    if live.size == 0:
        all_maxima(acc, block_size, maxima)
        return
    if block_size == UNIT:
        live_maxima(acc, live, first_slot, maxima, bounds)
        return
    for b in range(acc.size // block_size):
        begin = b * block_size
        if has_live(live, first_slot, begin, block_size):
            maxima[b] = block_maximum(acc, live, first_slot, begin, block_size)
        else:
            maxima[b] = 0
            bounds[b] = 0


@kernel
def group_maxima(maxima, bounds, out, width):  # type: ignore[no-untyped-def]
    """Largest ``maxima + bounds`` of each of ``width`` disjoint groups of blocks.

    Parameters
    ----------
    maxima, bounds : (n_blocks,) uint16 or uint32
        Together below the top bit.
    out : (>= width,) same dtype
        Overwritten.
    width : int64
        Block ``b`` belongs to group ``b % width``; at most ``n_blocks``.
    """
    out[:width] = maxima[:width] + bounds[:width]
    begin = width
    while begin < maxima.size:
        end = min(begin + width, maxima.size)
        one, other, kept = maxima[begin:end], bounds[begin:end], out[: end - begin]
        for i in range(kept.size):
            total = one[i] + other[i]
            kept[i] = kept[i] if kept[i] > total else total
        begin += width
