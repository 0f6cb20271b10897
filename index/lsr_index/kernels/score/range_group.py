"""Groups of ranges, of one segment or several, that are searched together.

The ranges of a group, its parts, follow one another in the scratch arrays. Blocks are numbered
through the group; each part begins at a multiple of 64, and gaps between parts hold 0.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.accumulator import shift_of
from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import uint64_at
from lsr_index.kernels.score.cursors import open_cursors, prefetch_cursors
from lsr_index.kernels.simd.masks import MASK
from lsr_index.kernels.structs import N_BLOCKS


@kernel
def padded_blocks(sizes):
    """Block numbers of a range of a segment in a group."""
    return (sizes[N_BLOCKS] + MASK - 1) // MASK * MASK


@kernel
def live_bitmap(live):
    """Bitmap of a segment's slots that may be returned; empty: all."""
    return uint64_at(live.address, live.n_words)


@kernel
def add_part(table, work, found, s, r, n, p, first_block):
    """Make range ``r`` of segment ``s`` part ``p`` of a group, from ``first_block`` on.

    Fills rows ``p`` of ``parts``, ``cursors`` and ``cursor_order`` of ``work``.
    """
    part = work.parts[p]
    part.segment = s
    part.range = r
    part.n_terms = n
    part.first_block = first_block
    part.n_lists = open_cursors(
        table, found, r, n, shift_of(work.acc), work.cursors[p], work.cursor_order[p]
    )


@kernel
def prefetch_part(segments, work, p):
    """Prefetch the first reads of the search of a part."""
    part = work.parts[p]
    prefetch_cursors(
        segments[part.segment], work.cursors[p], work.cursor_order[p], part.n_lists, part.n_terms
    )


@kernel
def end_of_blocks(blocks, begin, end, past):
    """End of the blocks below ``past`` in an ascending list."""
    while begin < end and np.int64(blocks[begin]) < past:
        begin += 1
    return begin
