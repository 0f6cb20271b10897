"""The groups of arrays that kernels take, as named tuples (Numba passes them without a copy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Accumulators = NDArray[np.uint16] | NDArray[np.uint32]

# Positions in `SegmentView.sizes`.
N_DOCS, N_TERMS, N_RANGES, RANGE_SIZE, N_BLOCKS, N_DENSE = range(6)

# Positions in the int64 options of a search.
(
    OPT_K,
    OPT_ALPHA,  # bound scaling, 65,536 = exact
    OPT_MAX_WORK,  # postings and completions (in postings) a query may cost; 0 = no cap
    OPT_SPLIT,  # rows are added only where they can matter (else everywhere)
    OPT_BOUNDS,  # block-local bounds (else the range-wide ones)
    OPT_KTH,  # stored k-th impacts as a first threshold
    OPT_ESTIMATE,  # thresholds from the most promising blocks
    OPT_FINISH,  # add the rows everywhere when candidates are many
    OPT_COMPLETION_COST,  # blocks of a whole row that completing one block is worth
    N_OPTIONS,
) = range(10)

# Columns of the per-query state.
(
    STAT_POSTINGS,  # postings scattered
    STAT_CELLS,  # places of dense rows added
    STAT_BLOCKS,  # (block, row) pairs added on their own
    STAT_RANGES,
    STAT_FINISHED,  # ranges to which the rows were added as a whole
    STAT_UNSEEN,  # largest upper bound of anything left out without proof
    STAT_CUT,  # 1 if the work cap or the cancel flag ended the search early
    STAT_COUNT,  # keys in the buffer
    STAT_THRESHOLD,  # score that k live documents are known to reach
    STAT_KTH_KEY,  # k-th largest key so far
    STAT_FACTOR,  # bits of a float64: integer weight per unit of query weight
    STAT_DROPPED,  # sum of the integer weights that ``beta`` took out
    N_STATS,
) = range(13)

# Columns of the table of what may appear of each segment.
(
    LIVE_ADDRESS,  # bitmap of slots, and its length; 0: all may appear
    LIVE_WORDS,
    LIVE_BASE,  # number of the segment's first document
    LIVE_DOCS,  # documents that may appear
    LIVE_LISTS,  # where their lists are, by term (`score.filtered_postings`); 0: none
    LIVE_NUMBERS,  # their numbers in the segment, where there are lists
    LIVE_STARTS,  # their slots, by range, where there are lists
    LIVE_CHOSEN,
    N_LIVE,
) = range(9)

# There is room for k keys and as many again, or for this many.
KEY_ROOM = 32

# Rows of `Workspace.lanes`, `words` and `longs`.
ACC, TILES, MAXIMA, BOUNDS, POTENTIAL, N_LANES = range(6)
BLOCKS, PROBED, SLOTS, SCORES, N_WORDS = range(5)
(
    LOCAL,
    WEIGHT,
    BEGIN,
    END,
    PEAK,
    ORDER,
    ROW,
    QUERY_TERM,
    QUERY_WEIGHT,
    RANGES,
    RANGE_PEAK,
    HISTOGRAM,
    SORTED,
    SPARE,
    COUNTERS,
    N_LONGS,
) = range(16)

# Ranges are searched in groups (see `lsr_index.kernels.score.search_group`) of at most so many
# parts and slots.
MAX_PARTS, GROUP_SLOTS = 16, 1 << 16
# Columns of `Workspace.parts`: segment, range, terms found, those of them with lists, first block.
PART_SEGMENT, PART_RANGE, PART_TERMS, PART_LISTS, PART_FIRST, N_PART = range(6)
# A part's plan has the rows of `Workspace.longs` up to `ROW`.
N_PLAN = ROW + 1


# Numbers of a card: where a term's list begins and ends, its row (2**32 - 1: none), and as bytes of
# one number its largest impact and its `SegmentView.kth_impacts`.
CARD_BEGIN, CARD_END, CARD_ROW, CARD_IMPACTS, N_CARD = range(5)


class SegmentView(NamedTuple):
    """Arrays of one segment, read-only; `lsr_index.segment.format.POSTINGS` says what they hold.

    ``places`` is made when a segment is opened: the position of each term id among the terms, -1
    for others; empty where that would be a large table for few terms. So is ``cards``, for segments
    of one range: what a search looks up of a term, in one place instead of five (see `CARD_ROW`).
    """

    sizes: NDArray[np.int64]
    terms: NDArray[np.uint32]
    counts: NDArray[np.uint32]
    row_of_term: NDArray[np.int32]
    kth_impacts: NDArray[np.uint8]
    range_base: NDArray[np.int64]
    offsets: NDArray[np.uint32]
    range_max: NDArray[np.uint8]
    slots: NDArray[np.uint16]
    impacts: NDArray[np.uint8]
    rows: NDArray[np.uint8]
    block_max: NDArray[np.uint8]
    slot_docs: NDArray[np.uint32]
    places: NDArray[np.int32]
    cards: NDArray[np.uint32]


class Workspace(NamedTuple):
    """Scratch of one thread, rows named above; sized for the largest segment and query so far."""

    lanes: Accumulators
    words: NDArray[np.uint32]
    longs: NDArray[np.int64]
    key_scores: NDArray[np.uint32]
    plans: NDArray[np.int64]
    parts: NDArray[np.int64]
