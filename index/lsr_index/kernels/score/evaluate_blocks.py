"""Candidate blocks: blocks whose upper bound reaches the threshold, evaluated row by row.

Block-max pruning [Ding and Suel 2011, section 4] on blocks of neighbouring documents, whose scores
are computed sixteen at a time.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import contribution, shift_of
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.score.scan import block_maximum, live_bits
from lsr_index.kernels.simd.masks import MASK, lowest_bit, sums_at_least, vector_at_least
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.simd.vectors import VECTOR, add_vector
from lsr_index.kernels.structs import CAND_DOCS, CAND_SCORES
from lsr_index.kernels.topk import hit_key, kth_largest, shrink

# Blocks of a row that are prefetched while one is added.
_AHEAD = 12


@kernel
def candidate_blocks(maxima, bounds, level, limit, blocks, origin):
    """Blocks where ``maximum + bound >= level``, ascending; returns their number.

    Parameters
    ----------
    maxima, bounds : (n,) uint16 or uint32
        ``n`` is a multiple of 64.
    level : int64
        At least 1, at most the top bit of an accumulator.
    limit : int64
        The loop ends at this number of blocks.
    blocks : (>= n,) uint32
        Filled.
    origin : int64
        Number of the first block.
    """
    n = np.int64(0)
    for first in range(0, maxima.size, MASK):
        mask = sums_at_least(maxima, bounds, first, np.uint32(level))
        while mask != np.uint64(0):
            blocks[n] = origin + first + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            n += 1
        if n >= limit:
            break
    return n


@kernel
def prefetch_blocks(rows, row, block_size, blocks, n):
    """Prefetch a row in the first blocks of a list."""
    for i in range(min(np.int64(_AHEAD), n)):
        prefetch(rows, row + np.int64(blocks[i]) * block_size)


@kernel
def add_row_to_copies(copies, rows, row, block_size, blocks, n, weight):
    """Add one term's row to ``copies``, (>= n * block_size,), of some blocks."""
    for i in range(n):
        if i + _AHEAD < n:
            prefetch(rows, row + np.int64(blocks[i + _AHEAD]) * block_size)
        cell = row + np.int64(blocks[i]) * block_size
        for at in range(0, block_size, VECTOR):
            add_vector(copies, i * block_size + at, rows, cell + at, weight)


@kernel
def add_row_to_blocks(
    acc, live, first_slot, rows, row, block_max, cell, block_size, blocks, n, weight, level, maxima,
    bounds,
):  # fmt: skip
    """Add one term's row to some blocks; keep those whose upper bound still reaches the level.

    Returns the number of blocks kept, in place in ``blocks``. ``maxima`` and ``bounds``,
    (n_blocks,) like ``acc``, are updated for the listed blocks.
    """
    shift = shift_of(acc)
    kept = np.int64(0)
    for i in range(n):
        if i + _AHEAD < n:
            prefetch(rows, row + np.int64(blocks[i + _AHEAD]) * block_size)
        b = np.int64(blocks[i])
        for at in range(b * block_size, (b + 1) * block_size, VECTOR):
            add_vector(acc, at, rows, row + at, weight)
        best = block_maximum(acc, live, first_slot, b * block_size, block_size)
        bound = np.uint32(bounds[b]) - contribution(block_max[cell + b], weight, shift)
        maxima[b] = best
        bounds[b] = bound
        blocks[kept] = b
        kept += np.int64(np.int64(best) + np.int64(bound) >= level)
    return kept


@kernel
def collect_slots(acc, live, first_slot, block_size, blocks, n, level, slots, scores):
    """Live slots of some blocks whose score reaches the level; returns their number.

    ``slots`` and ``scores``, (>= n * block_size,) uint32, are filled; slots count from the begin of
    the range.
    """
    found = np.int64(0)
    for i in range(n):
        first = np.int64(blocks[i]) * block_size
        for at in range(first, first + block_size, VECTOR):
            mask = vector_at_least(acc, at, np.uint32(level))
            if live.size != 0:
                mask &= live_bits(live, first_slot + at)
            while mask != np.uint64(0):
                slot = at + lowest_bit(mask)
                mask &= mask - np.uint64(1)
                slots[found] = slot
                scores[found] = acc[slot]
                found += 1
    return found


@kernel
def zero_deleted(copies, live, first_slot, block_size, blocks, n):
    """Set the scores of deleted and filtered-out documents to 0 in copies of blocks."""
    if live.size == 0:
        return
    for i in range(n):
        for at in range(0, block_size, VECTOR):
            bits = live_bits(live, first_slot + np.int64(blocks[i]) * block_size + at)
            for j in range(VECTOR):
                if (bits >> np.uint64(j)) & np.uint64(1) == np.uint64(0):
                    copies[i * block_size + at + j] = 0


@kernel
def collect_slots_of_copies(copies, block_size, blocks, n, level, slots, scores):
    """As `collect_slots`, from copies of blocks after `zero_deleted`."""
    found = np.int64(0)
    for i in range(n):
        for at in range(i * block_size, (i + 1) * block_size, VECTOR):
            mask = vector_at_least(copies, at, np.uint32(level))
            first = (np.int64(blocks[i]) - i) * block_size
            while mask != np.uint64(0):
                place = at + lowest_bit(mask)
                mask &= mask - np.uint64(1)
                slots[found] = first + place
                scores[found] = copies[place]
                found += 1
    return found


@kernel
def slots_to_ordinals(slot_docs, slots, n, first_slot, base):
    """Replace ``n`` slots, counted from ``first_slot``, by ordinals of documents.

    ``slot_docs``, (n_slots,) or (0,) uint32, is the document of each slot of the segment, empty
    where slots are documents; ``base`` the ordinal of the segment's first document.
    """
    for i in range(n):
        doc = first_slot + np.int64(slots[i])
        if slot_docs.size != 0:
            doc = np.int64(slot_docs[doc])
        slots[i] = base + doc


@kernel
def push_candidates(work, n, threshold, k, keys, stats):
    """Push exactly scored documents onto the top-k buffer; returns the raised threshold.

    ``CAND_DOCS`` and ``CAND_SCORES`` of ``work`` hold ``n`` ordinals and scores.
    """
    docs, scores = work.candidates[CAND_DOCS], work.candidates[CAND_SCORES]
    if n > k:
        threshold = max(threshold, kth_largest(scores, n, k))
    count, kth_key = stats.count, stats.kth_key
    for i in range(n):
        score = np.int64(scores[i])
        key = hit_key(score, docs[i])
        keys[count] = key  # whether it stays is unpredictable, so that no branch decides it
        count += np.int64(score >= threshold and key > kth_key)
        if count == keys.size:
            stats.count = count
            threshold = shrink(keys, stats, k, threshold, work.key_scores)
            count, kth_key = stats.count, stats.kth_key
    stats.count = count
    return threshold
