"""Named tuples of arrays, and records, as arguments of kernels.

Numba passes the arrays of a named tuple without a copy, and a record by reference. Python passes
records as arrays of int64, which Numba recognises fastest, and both sides view them as these types.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Accumulators = NDArray[np.uint16] | NDArray[np.uint32]

_LONG, _ULONG, _DOUBLE = np.int64, np.uint64, np.float64


def _record(*fields: tuple[Any, ...]) -> np.dtype[Any]:
    """A structured dtype whose records have their fields as attributes, compiled or not."""
    assert not any(hasattr(np.void, name) for name, *_ in fields)  # it would hide the field
    return np.dtype((np.record, list(fields)))


OPTIONS = _record(
    ("k", _LONG),
    ("alpha", _LONG),  # bound scaling, 65,536 = exact
    ("max_work", _LONG),  # postings, and cells of rows in postings, a query may cost; 0 = no cap
    ("split", _LONG),  # rows are added only to blocks that may hold a hit (else to all)
    ("bounds", _LONG),  # block-max bounds (else those of the range)
    ("kth_impacts", _LONG),  # initial threshold from stored k-th impacts
    ("estimate", _LONG),  # initial threshold from the most promising blocks
    ("range_scan", _LONG),  # rows are added to the whole range where candidate blocks are many
    ("block_cost", _LONG),  # blocks of a whole row that adding a row to one block is worth
)
"""Options of a search."""

STATS = _record(
    ("postings", _LONG),  # postings scattered
    ("cells", _LONG),  # cells of dense rows added to whole ranges
    ("blocks", _LONG),  # (block, row) pairs added on their own
    ("ranges", _LONG),  # ranges entered
    ("ranges_scanned", _LONG),  # ranges to which a row was added as a whole
    ("unseen", _LONG),  # largest upper bound of anything left out without proof
    ("cut", _LONG),  # 1 if the work cap or the cancel flag ended the search early
    ("count", _LONG),  # keys in the top-k buffer
    ("threshold", _LONG),  # score that k live documents are known to reach
    ("kth_key", _ULONG),  # k-th largest key so far
    ("factor", _DOUBLE),  # integer weight per unit of query weight
    ("dropped", _LONG),  # sum of the integer weights that ``beta`` took out
)
"""State and counters of a query."""
N_STATS = STATS.itemsize // 8

LIVE = _record(
    ("address", _LONG),  # bitmap of slots
    ("n_words", _LONG),  # its length; 0: all documents may be returned
    ("first_doc", _LONG),  # ordinal of the segment's first document
    ("n_docs", _LONG),  # documents that may be returned
    ("lists", _LONG),  # filtered posting lists by term (`score.filtered_postings`); 0: none
    ("docs", _LONG),  # with lists: documents that may be returned, by slot
    ("range_starts", _LONG),  # with lists: where each range begins among them
    ("range_slots", _LONG),  # with lists: their slots, counted within the range
)
"""Which documents of a segment may be returned; addresses of arrays."""

TERM = _record(("position", _LONG), ("weight", _LONG))
"""A query term in a segment: its position in the dictionary, its integer weight."""

CURSOR = _record(
    ("weight", _LONG),
    ("bound", _LONG),  # largest contribution in the range
    ("begin", _LONG),  # posting list of the range
    ("end", _LONG),
    ("row", _LONG),  # or number of the dense row
)
"""A query term in a range."""

PART = _record(
    ("segment", _LONG),
    ("range", _LONG),
    ("n_terms", _LONG),  # query terms
    ("n_lists", _LONG),  # those of them that are scattered
    ("first_block", _LONG),  # number of its first block in the group
)
"""A range of a group, see `score.range_group`."""

TERM_INFO = _record(
    ("begin", np.uint32),  # posting list
    ("end", np.uint32),
    ("row", np.int32),  # dense row, -1: none
    ("max_impact", np.uint8),
    ("kth_impacts", np.uint8, (3,)),  # 10th, 100th, 1,000th largest
)
"""What a search looks up of a term in a segment of one range: one cache line instead of five."""

# Positions in `SegmentView.sizes`.
N_DOCS, N_TERMS, N_RANGES, RANGE_SIZE, N_BLOCKS, N_DENSE = range(6)

# The top-k buffer has room for k keys and as many again, or for this many.
KEY_ROOM = 32

# A group has at most so many ranges and slots.
MAX_PARTS, GROUP_SLOTS = 16, 1 << 16

# Rows of `Workspace.acc`: scores by slot; copies of the blocks evaluated for an initial threshold;
# by block, the largest score and the upper bound of what rows can still add; maxima of blocks.
ACC_SCORES, ACC_COPIES, ACC_MAXIMA, ACC_BOUNDS, ACC_GROUPS, N_ACC = range(6)

# Rows of `Workspace.candidates`: blocks that may hold a hit; blocks evaluated for an initial
# threshold; slots, then ordinals, of documents that reach the threshold; their scores.
CAND_BLOCKS, CAND_INITIAL, CAND_DOCS, CAND_SCORES, N_CAND = range(5)

# Rows of `Workspace.scratch`.
(
    QUERY_TERM,
    QUERY_WEIGHT,
    RANGE_ORDER,
    RANGE_BOUND,
    HISTOGRAM,
    SORT_KEYS,
    SORT_SPARE,
    QUERY_STATS,
    N_SCRATCH,
) = range(9)


class SegmentView(NamedTuple):
    """Arrays of one segment, read-only; see `lsr_index.segment.format.POSTINGS`.

    Two are made when a segment is opened. ``term_positions``: position of each term id in the
    dictionary, -1 for others; empty where that would be a large table for few terms.
    ``term_info``: a `TERM_INFO` of each term; empty for segments of several ranges.
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
    term_positions: NDArray[np.int32]
    term_info: NDArray[Any]


class Workspace(NamedTuple):
    """Scratch of one thread, sized for the largest segment and query so far; rows named above.

    ``cursors`` and ``cursor_order`` have a row for each part of a group.
    """

    acc: Accumulators
    candidates: NDArray[np.uint32]
    scratch: NDArray[np.int64]
    key_scores: NDArray[np.uint32]
    cursors: NDArray[Any]
    cursor_order: NDArray[np.int64]
    parts: NDArray[Any]
