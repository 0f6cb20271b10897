"""Evaluation of the parts of a group: rows added where they can matter, hits collected."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import top_of
from lsr_index.kernels.jit import inlined_kernel, kernel
from lsr_index.kernels.pointers import segment_at
from lsr_index.kernels.score.bounds import bound_threshold
from lsr_index.kernels.score.evaluate_blocks import (
    add_row_to_blocks,
    candidate_blocks,
    collect_slots,
    collect_slots_of_copies,
    prefetch_blocks,
    push_candidates,
    slots_to_ordinals,
)
from lsr_index.kernels.score.range_group import end_of_blocks, live_bitmap, padded_blocks
from lsr_index.kernels.score.scan import add_row, block_maxima, subtract_bounds
from lsr_index.kernels.structs import (
    ACC_BOUNDS,
    ACC_COPIES,
    ACC_MAXIMA,
    ACC_SCORES,
    CAND_BLOCKS,
    CAND_DOCS,
    CAND_INITIAL,
    CAND_SCORES,
    N_BLOCKS,
    RANGE_SIZE,
)
from lsr_index.kernels.topk import shrink


@kernel
def add_row_to_range(table, work, part, live, row, cell, weight):
    """Add a row to a whole part, and subtract its upper bounds."""
    seg = segment_at(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part.first_block
    block_size, past = size // n_blocks, first + padded_blocks(seg.sizes)
    acc = work.acc[ACC_SCORES, first * block_size : first * block_size + size]
    maxima, bounds = work.acc[ACC_MAXIMA, first:past], work.acc[ACC_BOUNDS, first:past]
    add_row(acc, seg.rows, row, weight)
    subtract_bounds(bounds[:n_blocks], seg.block_max, cell, weight)
    block_maxima(acc, live, part.range * size, block_size, maxima, bounds)


@kernel
def add_rows(table, work, cursors, order, part, live, evaluated, level, stats, options):
    """Add the rows of a part where they can matter, those with the highest upper bounds first.

    While many blocks may reach the level, a row is added to the whole range; then only to the
    blocks that may. ``evaluated``, (n,) uint32, are blocks with evaluated copies. Returns the
    number of candidate blocks left, listed in ``CAND_BLOCKS``; their accumulators are final scores.
    """
    seg = segment_at(table)
    size, n_blocks, first = seg.sizes[RANGE_SIZE], seg.sizes[N_BLOCKS], part.first_block
    block_size, past = size // n_blocks, first + padded_blocks(seg.sizes)
    origin, first_slot = first * block_size, part.range * size
    maxima, bounds = work.acc[ACC_MAXIMA], work.acc[ACC_BOUNDS]
    own_maxima, own_bounds = maxima[first:past], bounds[first:past]
    blocks = work.candidates[CAND_BLOCKS]
    # Adding a row to more blocks than this costs more than adding it to the whole range.
    many = n_blocks // options.block_cost if options.range_scan != 0 else n_blocks
    cells_before = stats.cells
    n_found = candidate_blocks(own_maxima, own_bounds, level, past, blocks, first)
    if n_found <= many:
        for i in range(part.n_lists, part.n_terms):
            row = cursors[order[i]].row * size - origin
            prefetch_blocks(seg.rows, row, block_size, blocks, n_found)
    for i in range(part.n_lists, part.n_terms):
        cursor = cursors[order[i]]
        weight = np.uint32(cursor.weight)
        row, cell = cursor.row * size, cursor.row * n_blocks
        if n_found <= many:
            prefetch_blocks(seg.rows, row - origin, block_size, blocks, n_found)
            stats.blocks += n_found
            n_found = add_row_to_blocks(
                work.acc[ACC_SCORES], live, first_slot - origin, seg.rows, row - origin,
                seg.block_max, cell - first, block_size, blocks, n_found, weight, level, maxima,
                bounds,
            )  # fmt: skip
            continue
        add_row_to_range(table, work, part, live, row, cell, weight)
        stats.cells += size
        for j in range(evaluated.size):
            maxima[evaluated[j]] = 0
        n_found = candidate_blocks(own_maxima, own_bounds, level, past, blocks, first)
    stats.ranges_scanned += np.int64(stats.cells > cells_before)
    return n_found


@kernel
def collect_documents(table, work, part, live, base, copies, evaluated, n_found, threshold, at):
    """Write documents of a part that reach the threshold from place ``at`` on; returns the end.

    Parameters
    ----------
    work : Workspace
        ``CAND_DOCS`` and ``CAND_SCORES`` are filled; ``CAND_BLOCKS`` lists ``n_found`` blocks.
    base : int64
        Ordinal of the segment's first document.
    copies : (>= m * block_size,) uint16 or uint32
        Copies of the blocks in ``evaluated``, (m,) uint32.
    """
    seg = segment_at(table)
    size, block_size = seg.sizes[RANGE_SIZE], seg.sizes[RANGE_SIZE] // seg.sizes[N_BLOCKS]
    first_slot = part.range * size - part.first_block * block_size
    slots, scores = work.candidates[CAND_DOCS, at:], work.candidates[CAND_SCORES, at:]
    n = collect_slots_of_copies(
        copies, block_size, evaluated, evaluated.size, threshold, slots, scores
    )
    n += collect_slots(
        work.acc[ACC_SCORES], live, first_slot, block_size, work.candidates[CAND_BLOCKS], n_found,
        threshold, slots[n:], scores[n:],
    )  # fmt: skip
    slots_to_ordinals(seg.slot_docs, slots, n, first_slot, base)
    return at + n


@inlined_kernel
def evaluate_parts(
    segments, live, work, n_parts, n_rows, n_initial, threshold, keys, stats, options
):
    """Evaluate the parts of a group and push their documents; returns the threshold.

    ``n_rows`` rows are left to add; ``n_initial`` blocks were evaluated for the initial threshold.
    """
    k, n_hits, begin, top = options.k, np.int64(0), np.int64(0), top_of(work.acc)
    level = bound_threshold(threshold, options.alpha, top)
    for p in range(n_parts):
        part = work.parts[p]
        s = part.segment
        sizes, bitmap = segment_at(segments[s]).sizes, live_bitmap(live[s])
        past = part.first_block + padded_blocks(sizes)
        end = end_of_blocks(work.candidates[CAND_INITIAL], begin, n_initial, past)
        evaluated = work.candidates[CAND_INITIAL, begin:end]
        copies = work.acc[ACC_COPIES, begin * (sizes[RANGE_SIZE] // sizes[N_BLOCKS]) :]
        n_found = add_rows(
            segments[s], work, work.cursors[p], work.cursor_order[p], part, bitmap, evaluated,
            level, stats, options,
        )  # fmt: skip
        n_hits = collect_documents(
            segments[s], work, part, bitmap, live[s].first_doc, copies, evaluated, n_found,
            threshold, n_hits,
        )  # fmt: skip
        begin = end
        if n_rows > 0 or p + 1 == n_parts:
            threshold = push_candidates(work, n_hits, threshold, k, keys, stats)
            n_hits = np.int64(0)
            if p + 1 < n_parts:
                threshold = shrink(keys, stats, k, threshold, work.key_scores)
                level = bound_threshold(threshold, options.alpha, top)
    return shrink(keys, stats, k, threshold, work.key_scores)
