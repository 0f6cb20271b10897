"""The hot loops over one range: scatter postings, add block bounds, turn them into a bias.

A range keeps its accumulators *lane-major*: the document at position ``lane`` of block ``b`` has
slot ``lane * n_blocks + b``. Everything per block is then a vertical operation over contiguous
arrays, which the vectoriser turns into full-width integer code for any block size.

Overflow. ``contribution(impact, weight) = (impact * weight) >> shift``. Query weights are made so
that ``sum((255 * weight) >> shift) < top`` where ``top`` is the accumulator's highest bit
(2**15 for uint16, 2**31 for uint32), and ``impact * weight < 2**31``. An accumulator or a sum of
bounds holds each query term at most once, so no sum reaches ``top``.
"""

from __future__ import annotations

import numpy as np

from index.kernels.jit import kernel
from index.kernels.prefetch import prefetch

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
        prefetch(slots, at + _AHEAD)
        prefetch(slots, at + _AHEAD + _STEP // 2)
        prefetch(impacts, at + _AHEAD)
        stop = min(at + _STEP, end)
        for j in range(np.uint64(at), np.uint64(stop)):
            acc[slots[j]] += (np.uint32(impacts[j]) * weight) >> shift
        at = stop


@kernel
def add_bounds(bounds, block_max, weight, shift):  # type: ignore[no-untyped-def]
    """Add one term's largest possible contribution per block.

    Parameters
    ----------
    bounds : (n_blocks,) uint16 or uint32
    block_max : (n_blocks,) uint8
    weight, shift : uint32
    """
    for i in range(bounds.size):
        bounds[i] += (np.uint32(block_max[i]) * weight) >> shift


@kernel
def bounds_to_bias(bounds, threshold, top):  # type: ignore[no-untyped-def]
    """Turn bounds into what lifts an accumulator to ``top`` exactly when it may qualify.

    ``acc + bias >= top`` is the same as ``acc + bound >= threshold``; the comparison becomes the
    test of one bit.

    Parameters
    ----------
    bounds : (n_blocks,) uint16 or uint32
        Changed in place; ``bias = top - max(0, threshold - bound)``.
    threshold, top : uint32
    """
    for i in range(bounds.size):
        bound = np.uint32(bounds[i])
        bounds[i] = top - (threshold - min(threshold, bound))


@kernel
def group_maxima(acc, out, n_groups, n_blocks):  # type: ignore[no-untyped-def]
    """Largest accumulator of each of ``n_groups * n_blocks`` disjoint groups of documents.

    Parameters
    ----------
    acc : (lanes * n_blocks,) uint16 or uint32
    out : (>= n_groups * n_blocks,) same dtype
        Overwritten.
    n_groups, n_blocks : int64
        ``1 <= n_groups <= lanes``; lane ``l`` belongs to group ``l % n_groups``.
    """
    width = n_groups * n_blocks
    out[:width] = acc[:width]
    begin = width
    while begin < acc.size:
        part = acc[begin : min(begin + width, acc.size)]
        kept = out[: part.size]
        for i in range(part.size):
            kept[i] = kept[i] if kept[i] > part[i] else part[i]
        begin += width
