"""The parts of a group: ranges, of one segment or several, that are searched together.

The parts stand side by side in the scratch arrays. Blocks are numbered through the group; each part
begins at a multiple of 64, what is between parts is 0.
"""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.jit import kernel
from lsr_index.kernels.pointers import words_at
from lsr_index.kernels.score.bounds import ask_plan, plan_range
from lsr_index.kernels.simd.masks import LANES
from lsr_index.kernels.structs import (
    LIVE_ADDRESS,
    LIVE_WORDS,
    LOCAL,
    N_BLOCKS,
    PART_FIRST,
    PART_LISTS,
    PART_RANGE,
    PART_SEGMENT,
    PART_TERMS,
    WEIGHT,
)


@kernel
def padded_blocks(sizes):  # type: ignore[no-untyped-def]
    """Blocks that a range of a segment takes up in a group."""
    return (sizes[N_BLOCKS] + LANES - 1) // LANES * LANES


@kernel
def words_of(live, s):  # type: ignore[no-untyped-def]
    """The bitmap of a segment; empty: all documents may appear."""
    return words_at(live[s, LIVE_ADDRESS], live[s, LIVE_WORDS])


@kernel
def take_part(table, work, s, r, n, p, first, shift):  # type: ignore[no-untyped-def]
    """Make a range part ``p`` of a group, planned but not looked at yet.

    Parameters
    ----------
    table : (15, 2) int64
        See `lsr_index.kernels.pointers.open_view`.
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
def list_end(blocks, begin, end, past):  # type: ignore[no-untyped-def]
    """Where the blocks below ``past`` end in a rising list."""
    while begin < end and np.int64(blocks[begin]) < past:
        begin += 1
    return begin
