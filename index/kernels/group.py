"""Ranges searched together: those of small segments, and small ones of a large segment.

In a range the lists are scattered into accumulators; what the rows can add is bounded block by
block, and only blocks that may hold a result get their rows added, sixteen documents at a time.
Where such blocks are many the rows are added to the whole range, which is a linear pass in vector
registers.

The ranges of a group, its parts, stand side by side in the scratch arrays. The most promising
blocks are those of all parts, and hits are selected once, so that many small ranges cost little
more than a large one. Blocks are numbered through the group; each part begins at a multiple of 64,
what is between parts is 0.
"""

from __future__ import annotations

import numpy as np

from index.kernels.address import open_view, words_at
from index.kernels.candidates import (
    add_row_to_blocks,
    add_row_to_tiles,
    gather,
    gather_tiles,
    number_documents,
    offer,
    prefetch_blocks,
    silence_dead,
    surviving,
)
from index.kernels.jit import kernel
from index.kernels.mask import LANES
from index.kernels.plan import ask_plan, plan_range, scaled
from index.kernels.results import settle
from index.kernels.scan import (
    add_bounds,
    add_row,
    block_maxima,
    group_maxima,
    scatter,
    take_bounds,
)
from index.kernels.select import kth_largest
from index.kernels.views import (
    ACC,
    BEGIN,
    BLOCKS,
    BOUNDS,
    END,
    LIVE_ADDRESS,
    LIVE_BASE,
    LIVE_WORDS,
    LOCAL,
    MAXIMA,
    N_BLOCKS,
    OPT_ALPHA,
    OPT_BOUNDS,
    OPT_COMPLETION_COST,
    OPT_ESTIMATE,
    OPT_FINISH,
    OPT_K,
    OPT_SPLIT,
    ORDER,
    PART_FIRST,
    PART_LISTS,
    PART_RANGE,
    PART_SEGMENT,
    PART_TERMS,
    PEAK,
    POTENTIAL,
    PROBED,
    RANGE_SIZE,
    ROW,
    SCORES,
    SLOTS,
    STAT_BLOCKS,
    STAT_CELLS,
    STAT_COUNT,
    STAT_FINISHED,
    STAT_POSTINGS,
    TILES,
    WEIGHT,
)

# Probing a block costs as much as this many additions of a row to a listed block.
_PROBE_COST = 3


@kernel
def padded_blocks(sizes):  # type: ignore[no-untyped-def]
    """Blocks that a range of a segment takes up in a group."""
    return (sizes[N_BLOCKS] + LANES - 1) // LANES * LANES


@kernel
def take_part(table, work, s, r, n, p, first, shift):  # type: ignore[no-untyped-def]
    """Make a range part ``p`` of a group, planned but not looked at yet.

    Parameters
    ----------
    table : (15, 2) int64
        See `index.kernels.address.open_view`.
    work : Workspace
        ``LOCAL`` and ``WEIGHT`` hold the terms found in the segment; `parts` and `plans` are
        filled.
    s, r, n : int64
        Numbers of the segment and the range, and of the terms found.
    p, first : int64
        Number of the part, and its first block in the group.
    shift : uint32
    """
    plan, part = work.plans[p], work.parts[p]
    plan[LOCAL, :n] = work.longs[LOCAL, :n]
    plan[WEIGHT, :n] = work.longs[WEIGHT, :n]
    part[PART_SEGMENT], part[PART_RANGE], part[PART_TERMS] = s, r, n
    part[PART_FIRST] = first
    part[PART_LISTS] = plan_range(table, plan, r, n, shift)


@kernel
def ask_part(segments, work, p):  # type: ignore[no-untyped-def]
    """Ask for what the search of a part begins with."""
    part = work.parts[p]
    ask_plan(segments[part[PART_SEGMENT]], work.plans[p], part[PART_LISTS], part[PART_TERMS])


@kernel
def scatter_lists(slots, impacts, plan, acc, n_lists, shift, stats):  # type: ignore[no-untyped-def]
    """Scatter the lists of a range: the first places of the order."""
    order, weights = plan[ORDER], plan[WEIGHT]
    begins, ends = plan[BEGIN], plan[END]
    for i in range(n_lists):
        t = order[i]
        scatter(acc, slots, impacts, begins[t], ends[t], np.uint32(weights[t]), shift)
        stats[STAT_POSTINGS] += ends[t] - begins[t]


@kernel
def bound_rows(block_max, plan, bounds, n_lists, n, shift, options):  # type: ignore[no-untyped-def]
    """Upper bounds, per block, of what the rows of a range add."""
    order, weights = plan[ORDER], plan[WEIGHT]
    bounds[:] = 0
    for i in range(n_lists, n):
        t = order[i]
        if options[OPT_BOUNDS] == 0:
            for b in range(bounds.size):
                bounds[b] += plan[PEAK, t]
        else:
            cell = plan[ROW, t] * bounds.size
            add_bounds(bounds, block_max, cell, np.uint32(weights[t]), shift)


@kernel
def fill_part(table, plan, part, work, live, everywhere, shift, stats, options):  # type: ignore[no-untyped-def]
    """Scatter the lists of a part and bound its blocks.

    Parameters
    ----------
    table : (15, 2) int64
        See `index.kernels.address.open_view`.
    plan, part : (N_PLAN, n) int64, (N_PART,) int64
    work : Workspace
        ``ACC``, ``MAXIMA`` and ``BOUNDS`` are filled where the part is.
    live : (n_words,) uint64
    everywhere : bool
        Rows are added to the whole range as well, which makes them lists.
    shift : uint32
    stats, options
        As in `search_group`.
    """
    seg = open_view(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part[PART_FIRST]
    block_size, past = size // n_blocks, first + padded_blocks(seg.sizes)
    acc = work.lanes[ACC, first * block_size : first * block_size + size]
    maxima, bounds = work.lanes[MAXIMA, first:past], work.lanes[BOUNDS, first:past]
    n_lists, n = part[PART_LISTS], part[PART_TERMS]
    acc[:] = 0
    scatter_lists(seg.slots, seg.impacts, plan, acc, n_lists, shift, stats)
    if everywhere:
        for i in range(n_lists, n):
            t = plan[ORDER, i]
            add_row(acc, seg.rows, plan[ROW, t] * size, np.uint32(plan[WEIGHT, t]))
            stats[STAT_CELLS] += size
        stats[STAT_FINISHED] += np.int64(n_lists < n)
        n_lists = n
        part[PART_LISTS] = n
    maxima[n_blocks:] = 0
    bounds[n_blocks:] = 0
    bound_rows(seg.block_max, plan, bounds[:n_blocks], n_lists, n, shift, options)
    block_maxima(acc, live, part[PART_RANGE] * size, block_size, maxima, bounds)


@kernel
def kth_group(work, maxima, bounds, k):  # type: ignore[no-untyped-def]
    """A score that the ``maximum + bound`` of at least ``k`` blocks reaches, near the largest such.

    Selecting among a few maxima of groups of blocks is cheaper than among all blocks.
    """
    width = min(np.int64(maxima.size), (4 * k + LANES - 1) // LANES * LANES)
    groups = work.lanes[POTENTIAL]
    group_maxima(maxima, bounds, groups, width)
    return kth_largest(groups, width, k)


@kernel
def list_end(blocks, begin, end, past):  # type: ignore[no-untyped-def]
    """Where the blocks below ``past`` end in a rising list."""
    while begin < end and np.int64(blocks[begin]) < past:
        begin += 1
    return begin


@kernel
def probe(segments, live, work, n_parts, n_blocks, k, n_wanted, threshold, stats):  # type: ignore[no-untyped-def]
    """Complete copies of the most promising blocks; their documents raise the threshold.

    Returns
    -------
    (int64, int64)
        Blocks probed, about ``n_wanted`` and at most twice as many, listed in ``PROBED``, and the
        threshold.
    """
    maxima, bounds = work.lanes[MAXIMA, :n_blocks], work.lanes[BOUNDS, :n_blocks]
    tiles, blocks = work.lanes[TILES], work.words[PROBED]
    level = max(np.int64(1), kth_group(work, maxima, bounds, n_wanted))
    n_found = min(surviving(maxima, bounds, level, 2 * n_wanted, blocks, 0), 2 * n_wanted)
    begin, n_docs = np.int64(0), np.int64(0)
    for p in range(n_parts):
        part = work.parts[p]
        s = part[PART_SEGMENT]
        sizes = open_view(segments[s]).sizes
        end = list_end(blocks, begin, n_found, part[PART_FIRST] + padded_blocks(sizes))
        if end > begin:
            block_size = sizes[RANGE_SIZE] // sizes[N_BLOCKS]
            complete_tiles(
                segments[s], work, work.plans[p], part, words_of(live, s),
                tiles[begin * block_size :], blocks[begin:end], stats,
            )  # fmt: skip
            n_docs += (end - begin) * block_size
        begin = end
    for i in range(n_found):
        maxima[blocks[i]] = 0
        bounds[blocks[i]] = 0
    if n_docs >= k:
        threshold = max(threshold, kth_largest(tiles, n_docs, k))
    return n_found, threshold


@kernel
def words_of(live, s):  # type: ignore[no-untyped-def]
    """The bitmap of a segment; empty: all documents may appear."""
    return words_at(live[s, LIVE_ADDRESS], live[s, LIVE_WORDS])


@kernel
def complete_tiles(table, work, plan, part, live, tiles, blocks, stats):  # type: ignore[no-untyped-def]
    """Complete copies of some blocks of a part, in which the dead are silent.

    Parameters
    ----------
    table, work, plan, part, live
        As in `fill_part`.
    tiles : (>= m * block_size,) uint16 or uint32
        Filled with the blocks.
    blocks : (m,) uint32
        Numbers in the group.
    stats : (N_STATS,) int64
    """
    seg = open_view(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part[PART_FIRST]
    block_size, n_lists, n = size // n_blocks, part[PART_LISTS], part[PART_TERMS]
    acc = work.lanes[ACC]
    origin = first * block_size
    for i in range(n_lists, n):
        row = plan[ROW, plan[ORDER, i]] * size - origin
        prefetch_blocks(seg.rows, row, block_size, blocks, blocks.size)
    for i in range(blocks.size):
        b = np.int64(blocks[i]) * block_size
        tiles[i * block_size : (i + 1) * block_size] = acc[b : b + block_size]
    for i in range(n_lists, n):
        t = plan[ORDER, i]
        row, weight = plan[ROW, t] * size - origin, np.uint32(plan[WEIGHT, t])
        add_row_to_tiles(tiles, seg.rows, row, block_size, blocks, blocks.size, weight)
    stats[STAT_BLOCKS] += blocks.size * (n - n_lists)
    first_slot = part[PART_RANGE] * size - origin
    silence_dead(tiles, live, first_slot, block_size, blocks, blocks.size)


@kernel
def add_rows(table, work, plan, part, live, probed, shift, level, stats, options):  # type: ignore[no-untyped-def]
    """Add the rows of a part wherever they can matter, those with the highest peaks first.

    While many blocks may reach the level, a row is added to the whole range; then only to the
    blocks that may.

    Parameters
    ----------
    table, work, plan, part, live
        As in `fill_part`.
    probed : (n,) uint32
        Blocks that are complete elsewhere.
    shift : uint32
    level : int64
    stats, options
        As in `search_group`.

    Returns
    -------
    int64
        Blocks left, listed in ``BLOCKS``; their accumulators are complete.
    """
    seg = open_view(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part[PART_FIRST]
    block_size, past = size // n_blocks, first + padded_blocks(seg.sizes)
    origin, first_slot = first * block_size, part[PART_RANGE] * size
    maxima, bounds = work.lanes[MAXIMA], work.lanes[BOUNDS]
    mine, my_bounds = maxima[first:past], bounds[first:past]
    blocks = work.words[BLOCKS]
    # More blocks than this cost more to add a row to than the whole range does.
    many = n_blocks // options[OPT_COMPLETION_COST] if options[OPT_FINISH] != 0 else n_blocks
    cells_before = stats[STAT_CELLS]
    n_found = surviving(mine, my_bounds, level, past, blocks, first)
    if n_found <= many:
        for i in range(part[PART_LISTS], part[PART_TERMS]):
            row = plan[ROW, plan[ORDER, i]] * size - origin
            prefetch_blocks(seg.rows, row, block_size, blocks, n_found)
    for i in range(part[PART_LISTS], part[PART_TERMS]):
        t = plan[ORDER, i]
        weight = np.uint32(plan[WEIGHT, t])
        row, cell = plan[ROW, t] * size, plan[ROW, t] * n_blocks
        if n_found <= many:
            prefetch_blocks(seg.rows, row - origin, block_size, blocks, n_found)
            stats[STAT_BLOCKS] += n_found
            n_found = add_row_to_blocks(
                work.lanes[ACC], live, first_slot - origin, seg.rows, row - origin, seg.block_max,
                cell - first, block_size, blocks, n_found, weight, shift, level, maxima, bounds,
            )  # fmt: skip
            continue
        acc = work.lanes[ACC, origin : origin + size]
        add_row(acc, seg.rows, row, weight)
        stats[STAT_CELLS] += size
        take_bounds(my_bounds[:n_blocks], seg.block_max, cell, weight, shift)
        block_maxima(acc, live, first_slot, block_size, mine, my_bounds)
        for j in range(probed.size):
            maxima[probed[j]] = 0
        n_found = surviving(mine, my_bounds, level, past, blocks, first)
    stats[STAT_FINISHED] += np.int64(stats[STAT_CELLS] > cells_before)
    return n_found


@kernel
def gather_part(table, work, part, live, base, tiles, probed, n_found, threshold, at):  # type: ignore[no-untyped-def]
    """Documents of a part that reach the threshold, written from place ``at`` on; returns the end.

    Parameters
    ----------
    table, work, part, live
        As in `fill_part`; ``SLOTS`` is filled with document numbers, ``SCORES`` with their scores.
    base : int64
        Number of the segment's first document.
    tiles : (>= m * block_size,) uint16 or uint32
        Copies of the blocks in ``probed``.
    probed : (m,) uint32
    n_found : int64
        Blocks listed in ``BLOCKS``.
    threshold, at : int64
    """
    seg = open_view(table)
    size, block_size = seg.sizes[RANGE_SIZE], seg.sizes[RANGE_SIZE] // seg.sizes[N_BLOCKS]
    first_slot = part[PART_RANGE] * size - part[PART_FIRST] * block_size
    slots, scores = work.words[SLOTS, at:], work.words[SCORES, at:]
    n = gather_tiles(tiles, block_size, probed, probed.size, threshold, slots, scores)
    n += gather(
        work.lanes[ACC], live, first_slot, block_size, work.words[BLOCKS], n_found, threshold,
        slots[n:], scores[n:],
    )  # fmt: skip
    number_documents(seg.slot_docs, slots, n, first_slot, base)
    return at + n


@kernel
def search_group(  # type: ignore[no-untyped-def]
    segments, live, work, n_parts, n_blocks, n_all_blocks, shift, threshold, top, keys, stats,
    options,
):  # fmt: skip
    """Search the parts of a group; returns the threshold after it.

    Parameters
    ----------
    segments, live, options
        As in `index.kernels.search.search_batch`.
    work : Workspace
        ``parts`` and ``plans`` say what is to be searched.
    n_parts, n_blocks, n_all_blocks : int64
        Parts, their blocks, and the blocks of all segments.
    shift : uint32
    threshold : int64
    top : uint32
    keys, stats : (> k,) uint64, (N_STATS,) int64
        The running result.

    Returns
    -------
    int64
    """
    k = options[OPT_K]
    fresh = options[OPT_ESTIMATE] != 0 and stats[STAT_COUNT] < k <= n_blocks
    # Where a good part of the blocks holds results, looking for them does not pay.
    cost = options[OPT_COMPLETION_COST] if options[OPT_FINISH] != 0 else np.int64(1)
    share = (n_blocks if fresh else n_all_blocks) // cost
    everywhere = options[OPT_SPLIT] == 0 or 2 * k * _PROBE_COST > share
    n_rows = np.int64(0)
    ask_part(segments, work, 0)
    for p in range(n_parts):
        if p + 1 < n_parts:
            ask_part(segments, work, p + 1)
        part = work.parts[p]
        s = part[PART_SEGMENT]
        bitmap = words_of(live, s)
        fill_part(
            segments[s], work.plans[p], part, work, bitmap, everywhere, shift, stats, options,
        )  # fmt: skip
        n_rows += part[PART_TERMS] - part[PART_LISTS]
    n_probed = np.int64(0)
    if fresh and n_rows > 0:
        n_wanted = min(2 * k, max(k, n_blocks // cost // _PROBE_COST))
        n_probed, threshold = probe(
            segments, live, work, n_parts, n_blocks, k, n_wanted, threshold, stats
        )
    elif fresh:
        maxima, bounds = work.lanes[MAXIMA, :n_blocks], work.lanes[BOUNDS, :n_blocks]
        threshold = max(threshold, kth_group(work, maxima, bounds, k))
    level = scaled(threshold, options[OPT_ALPHA], top)
    n_hits, begin = np.int64(0), np.int64(0)
    for p in range(n_parts):
        part = work.parts[p]
        s = part[PART_SEGMENT]
        seg, bitmap = open_view(segments[s]), words_of(live, s)
        end = list_end(
            work.words[PROBED], begin, n_probed, part[PART_FIRST] + padded_blocks(seg.sizes)
        )
        probed = work.words[PROBED, begin:end]
        tiles = work.lanes[TILES, begin * (seg.sizes[RANGE_SIZE] // seg.sizes[N_BLOCKS]) :]
        n_found = add_rows(
            segments[s], work, work.plans[p], part, bitmap, probed, shift, level, stats, options
        )
        n_hits = gather_part(
            segments[s],
            work,
            part,
            bitmap,
            live[s, LIVE_BASE],
            tiles,
            probed,
            n_found,
            threshold,
            n_hits,
        )
        begin = end
        if n_rows > 0 or p + 1 == n_parts:
            threshold = offer(work, n_hits, threshold, k, keys, stats)
            n_hits = np.int64(0)
            if p + 1 < n_parts:
                threshold = settle(keys, stats, k, threshold, work.key_scores)
                level = scaled(threshold, options[OPT_ALPHA], top)
    return settle(keys, stats, k, threshold, work.key_scores)
