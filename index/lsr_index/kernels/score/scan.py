"""Inner loops over one range: posting lists, dense rows, block bounds, block maxima."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import contribution, shift_of
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.simd.vectors import (
    VECTOR,
    add_vector,
    add_vector_pair,
    masked_vector_max,
    vector_max,
    vector_maxima,
)

# Postings between two prefetches, and how far ahead of the loop they are: about 100 ns of work.
_STEP = 64
_AHEAD = 384


@kernel
def scatter(acc, slots, impacts, begin, end, weight):
    """Add the posting list ``slots[begin:end]`` of one range, uint16, to the accumulators."""
    shift = shift_of(acc)
    at = begin
    while at < end:
        if at + _AHEAD < end:
            prefetch(slots, at + _AHEAD)
            prefetch(slots, at + _AHEAD + _STEP // 2)
            prefetch(impacts, at + _AHEAD)
        stop = min(at + _STEP, end)
        for j in range(np.uint64(at), np.uint64(stop)):
            acc[slots[j]] += contribution(impacts[j], weight, shift)
        at = stop


@kernel
def add_row(acc, rows, row, weight):
    """Add the row of impacts ``rows[row : row + range_size]`` to all accumulators of a range.

    ``range_size`` is a multiple of 64.
    """
    for at in range(0, acc.size, 2 * VECTOR):
        add_vector_pair(acc, at, rows, row + at, weight)


@kernel
def add_bounds(bounds, block_max, cell, weight):
    """Add one term's largest contribution in each block to the upper bounds of blocks.

    Its block maxima are ``block_max[cell : cell + n_blocks]``; ``bounds`` is (n_blocks,).
    """
    whole = bounds.size - bounds.size % VECTOR
    for at in range(0, whole, VECTOR):
        add_vector(bounds, at, block_max, cell + at, weight)
    for b in range(whole, bounds.size):
        bounds[b] += contribution(block_max[cell + b], weight, shift_of(bounds))


@kernel
def subtract_bounds(bounds, block_max, cell, weight):
    """Undo `add_bounds`; a bound that was set to 0 stays 0."""
    for b in range(bounds.size):
        added = contribution(block_max[cell + b], weight, shift_of(bounds))
        bounds[b] -= min(np.uint32(bounds[b]), added)


@kernel
def live_bits(live, slot):
    """Live bits of the 16 documents from a slot of the segment on; 0 beyond the bitmap."""
    word = slot >> 6
    if word >= live.size:
        return np.uint64(0)
    return (live[word] >> np.uint64(slot & 63)) & np.uint64(0xFFFF)


@kernel
def block_maximum(acc, live, first_slot, begin, block_size):
    """Largest accumulator of a live document in the block that begins at slot ``begin``."""
    best = np.uint32(0)
    for at in range(begin, begin + block_size, VECTOR):
        if live.size == 0:
            best = max(best, vector_max(acc, at))
        else:
            best = max(best, masked_vector_max(acc, at, live_bits(live, first_slot + at)))
    return best


@kernel
def all_maxima(acc, block_size, maxima):
    """Largest accumulator of each block."""
    if block_size == VECTOR:
        n_blocks = acc.size // VECTOR
        whole = n_blocks - n_blocks % VECTOR
        for b in range(0, whole, VECTOR):
            vector_maxima(acc, b * VECTOR, maxima, b)
        for b in range(whole, n_blocks):
            maxima[b] = vector_max(acc, b * VECTOR)
        return
    for b in range(acc.size // block_size):
        best = np.uint32(0)
        for at in range(b * block_size, (b + 1) * block_size, VECTOR):
            best = max(best, vector_max(acc, at))
        maxima[b] = best


@kernel
def live_maxima(acc, live, first_slot, maxima, bounds):
    """`block_maxima` of live documents, for blocks of 16."""
    first_word = first_slot // 64
    for w in range(acc.size // 64):
        word = live[first_word + w] if first_word + w < live.size else np.uint64(0)
        b = w * 4
        if word == np.uint64(0):
            maxima[b : b + 4] = 0
            bounds[b : b + 4] = 0
            continue
        for _ in range(4):
            bits = word & np.uint64(0xFFFF)
            word >>= np.uint64(VECTOR)
            maxima[b] = masked_vector_max(acc, b * VECTOR, bits)
            if bits == np.uint64(0):
                bounds[b] = 0
            b += 1


@kernel
def has_live(live, first_slot, begin, block_size):
    """Whether a block holds a live document."""
    bits = np.uint64(0)
    for at in range(begin, begin + block_size, VECTOR):
        bits |= live_bits(live, first_slot + at)
    return bits != np.uint64(0)


@kernel
def block_maxima(acc, live, first_slot, block_size, maxima, bounds):
    """Largest accumulator of a live document in each block; without any, 0 for it and its bound.

    ``maxima`` and ``bounds``, (>= n_blocks,), are filled; ``block_size`` is a multiple of 16.
    """
    if live.size == 0:
        all_maxima(acc, block_size, maxima)
        return
    if block_size == VECTOR:
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
def group_maxima(maxima, bounds, out, width):
    """Largest ``maxima + bounds`` of each of ``width`` disjoint groups of blocks.

    Block ``b`` belongs to group ``b % width``, ``width`` is at most ``n_blocks``; sums are below
    the top bit. ``out``, (>= width,), is overwritten.
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
