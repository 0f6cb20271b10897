"""Blocks that may hold a result: finding them, completing them row by row, offering documents."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.score.scan import block_maximum, live_unit
from lsr_index.kernels.simd.masks import LANES, UNIT, lowest_bit, sums_at_least, unit_at_least
from lsr_index.kernels.simd.prefetch import prefetch
from lsr_index.kernels.simd.vectors import add_unit
from lsr_index.kernels.structs import SCORES, SLOTS, STAT_COUNT, STAT_KTH_KEY
from lsr_index.kernels.topk.buffer import hit_key, settle
from lsr_index.kernels.topk.select import kth_largest

# Blocks of a row that are on their way while one is added.
_AHEAD = 12


@kernel
def surviving(maxima, bounds, level, limit, blocks, origin):  # type: ignore[no-untyped-def]
    """Blocks where ``maximum + bound >= level``, ascending.

    Parameters
    ----------
    maxima, bounds : (n,) uint16 or uint32
        ``n`` is a multiple of 64.
    level : int64
        At least 1, at most the top bit of an accumulator.
    limit : int64
        The walk ends once this many are found.
    blocks : (>= n,) uint32
        Filled.
    origin : int64
        Number of the first block.

    Returns
    -------
    int64
        Blocks found.
    """
    n = np.int64(0)
    for first in range(0, maxima.size, LANES):
        mask = sums_at_least(maxima, bounds, first, np.uint32(level))
        while mask != np.uint64(0):
            blocks[n] = origin + first + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            n += 1
        if n >= limit:
            break
    return n


@kernel
def prefetch_blocks(rows, row, block_size, blocks, n):  # type: ignore[no-untyped-def]
    """Ask for a row where the first blocks of a list begin."""
    for i in range(min(np.int64(_AHEAD), n)):
        prefetch(rows, row + np.int64(blocks[i]) * block_size)


@kernel
def add_row_to_tiles(tiles, rows, row, block_size, blocks, n, weight):  # type: ignore[no-untyped-def]
    """Add one term's row to copies of some blocks, which stand one after the other.

    Parameters
    ----------
    tiles : (>= n * block_size,) uint16 or uint32
    rows : (n_cells,) uint8
    row, block_size : int64
        The row begins at ``rows[row]``.
    blocks : (>= n,) uint32
    n : int64
    weight : uint32
    """
    for i in range(n):
        if i + _AHEAD < n:
            prefetch(rows, row + np.int64(blocks[i + _AHEAD]) * block_size)
        place = row + np.int64(blocks[i]) * block_size
        for u in range(0, block_size, UNIT):
            add_unit(tiles, i * block_size + u, rows, place + u, weight)


@kernel
def add_row_to_blocks(  # type: ignore[no-untyped-def]
    acc, live, first_slot, rows, row, block_max, cell, block_size, blocks, n, weight, shift, level,
    maxima, bounds,
):  # fmt: skip
    """Add one term's row to some blocks, and keep those that may still reach the level.

    Parameters
    ----------
    acc : (range_size,) uint16 or uint32
    live : (n_words,) uint64
    first_slot : int64
        Slot of the segment at which the range begins.
    rows, block_max : (n_cells,), (n_bounds,) uint8
    row, cell : int64
        Where the term's row and its bounds begin.
    block_size : int64
    blocks : (>= n,) uint32
        Cut down in place.
    n : int64
    weight, shift : uint32
    level : int64
    maxima, bounds : (n_blocks,) same dtype as ``acc``
        Brought up to date where a block is listed.

    Returns
    -------
    int64
        Blocks kept.
    """
    kept = np.int64(0)
    for i in range(n):
        if i + _AHEAD < n:
            prefetch(rows, row + np.int64(blocks[i + _AHEAD]) * block_size)
        b = np.int64(blocks[i])
        for at in range(b * block_size, (b + 1) * block_size, UNIT):
            add_unit(acc, at, rows, row + at, weight)
        best = block_maximum(acc, live, first_slot, b * block_size, block_size)
        bound = np.uint32(bounds[b]) - ((np.uint32(block_max[cell + b]) * weight) >> shift)
        maxima[b] = best
        bounds[b] = bound
        blocks[kept] = b
        kept += np.int64(np.int64(best) + np.int64(bound) >= level)
    return kept


@kernel
def gather(acc, live, first_slot, block_size, blocks, n, level, slots, scores):  # type: ignore[no-untyped-def]
    """Live slots of some blocks with at least that score.

    Parameters
    ----------
    acc : (range_size,) uint16 or uint32
    live, first_slot, block_size, blocks, n
        As in `add_row_to_blocks`.
    level : int64
    slots, scores : (>= n * block_size,) uint32
        Filled; slots count from the beginning of the range.

    Returns
    -------
    int64
        Slots found.
    """
    found = np.int64(0)
    for i in range(n):
        first = np.int64(blocks[i]) * block_size
        for at in range(first, first + block_size, UNIT):
            mask = unit_at_least(acc, at, np.uint32(level))
            if live.size != 0:
                mask &= live_unit(live, (first_slot + at) // UNIT)
            while mask != np.uint64(0):
                slot = at + lowest_bit(mask)
                mask &= mask - np.uint64(1)
                slots[found] = slot
                scores[found] = acc[slot]
                found += 1
    return found


@kernel
def silence_dead(tiles, live, first_slot, block_size, blocks, n):  # type: ignore[no-untyped-def]
    """Take the scores of documents that may not appear out of copies of blocks."""
    if live.size == 0:
        return
    for i in range(n):
        for u in range(0, block_size, UNIT):
            slot = first_slot + np.int64(blocks[i]) * block_size + u
            alive = live_unit(live, slot // UNIT)
            for lane in range(UNIT):
                if (alive >> np.uint64(lane)) & np.uint64(1) == np.uint64(0):
                    tiles[i * block_size + u + lane] = 0


@kernel
def gather_tiles(tiles, block_size, blocks, n, level, slots, scores):  # type: ignore[no-untyped-def]
    """As `gather`, of copies of blocks, in which the dead are silent."""
    found = np.int64(0)
    for i in range(n):
        for u in range(0, block_size, UNIT):
            mask = unit_at_least(tiles, i * block_size + u, np.uint32(level))
            at = np.int64(blocks[i]) * block_size + u
            while mask != np.uint64(0):
                lane = lowest_bit(mask)
                mask &= mask - np.uint64(1)
                slots[found] = at + lane
                scores[found] = tiles[i * block_size + u + lane]
                found += 1
    return found


@kernel
def number_documents(slot_docs, slots, n, first_slot, base):  # type: ignore[no-untyped-def]
    """Put document numbers in place of slots.

    Parameters
    ----------
    slot_docs : (n_slots,) or (0,) uint32
        Document of each slot of the segment; empty where slots are documents.
    slots : (>= n,) uint32
    n : int64
    first_slot : int64
        Added to slots.
    base : int64
        Number of the segment's first document.
    """
    for i in range(n):
        doc = first_slot + np.int64(slots[i])
        if slot_docs.size != 0:
            doc = np.int64(slot_docs[doc])
        slots[i] = base + doc


@kernel
def offer(work, n, threshold, k, keys, stats):  # type: ignore[no-untyped-def]
    """Offer documents, exactly scored; returns the possibly raised threshold.

    Parameters
    ----------
    work : Workspace
        ``SLOTS`` holds their numbers, ``SCORES`` their scores.
    n, threshold, k : int64
    keys : (> k,) uint64
    stats : (N_STATS,) int64
    """
    docs, scores = work.words[SLOTS], work.words[SCORES]
    if n > k:
        threshold = max(threshold, kth_largest(scores, n, k))
    count = stats[STAT_COUNT]
    kth_key = np.uint64(stats[STAT_KTH_KEY])
    for i in range(n):
        score = np.int64(scores[i])
        key = hit_key(score, docs[i])
        keys[count] = key  # whether it stays cannot be predicted, so that no branch tries to
        count += np.int64(score >= threshold and key > kth_key)
        if count == keys.size:
            stats[STAT_COUNT] = count
            threshold = settle(keys, stats, k, threshold, work.key_scores)
            count = stats[STAT_COUNT]
            kth_key = np.uint64(stats[STAT_KTH_KEY])
    stats[STAT_COUNT] = count
    return threshold
