"""Structure checks of a segment: what the kernels rely on, proven once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr_index.kernels.build.check import check_lists, check_rows, first_bad_count, first_bad_kth
from lsr_index.segment.geometry import BLOCK_SIZES, MAX_RANGE_SIZE, NO_DOC, WORD

if TYPE_CHECKING:
    from lsr_index.segment.arrays import SegmentArrays

_FAULTS = {
    1: "a slot is not below the range size, or slots of a list do not ascend",
    2: "an impact is 0",
    3: "range_max is not the largest impact of a term",
    4: "a dense term has a posting list",
    5: "a posting stands in a padding slot",
    6: "block_max is not the largest impact of a block",
}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(f"segment structure: {message}")


def check_sizes(segment: SegmentArrays) -> None:
    """Check scalars and array lengths, in O(1) beyond the two base arrays.

    Raises
    ------
    ValueError
        Naming the array that does not fit.
    """
    n_ranges, n_blocks, block_size = segment.n_ranges, segment.n_blocks, segment.block_size
    _require(block_size in BLOCK_SIZES, f"block_size {block_size} is not one of {BLOCK_SIZES}")
    _require(n_blocks >= 1 and n_ranges >= 1, "n_blocks and n_ranges must be positive")
    range_size = n_blocks * block_size
    _require(range_size % WORD == 0, f"range size {range_size} is no multiple of {WORD}")
    _require(range_size <= MAX_RANGE_SIZE, f"range size {range_size} is above {MAX_RANGE_SIZE}")
    _require(0 <= segment.n_docs < NO_DOC, f"n_docs {segment.n_docs} is out of range")
    _require(n_ranges * range_size >= segment.n_docs, "ranges do not hold n_docs")
    n_terms = segment.terms.size
    cells = n_ranges * n_blocks
    _require(segment.block_max.size % cells == 0, "block_max is no whole number of rows")
    _require(segment.n_dense <= n_terms, "block_max has more rows than terms")
    expected = {
        "counts": n_terms,
        "row_of_term": n_terms,
        "kth_impacts": 3 * n_terms,
        "range_base": n_ranges + 1,
        "offsets": n_ranges * (n_terms + 1),
        "range_max": n_ranges * n_terms,
        "slots": segment.impacts.size,
        "rows": segment.block_max.size * block_size,
    }
    if segment.slot_docs.size:
        expected["slot_docs"] = n_ranges * range_size
    arrays = segment.arrays()
    for name, size in expected.items():
        _require(arrays[name].size == size, f"{name} has {arrays[name].size} items, not {size}")
    base = segment.range_base
    spans = int(base[0]) == 0 and int(base[-1]) == segment.slots.size
    _require(spans, "range_base does not span the postings")
    steps = np.diff(base)
    _require(bool((steps >= 0).all()), "range_base does not ascend")
    _require(bool((steps < 1 << 32).all()), "range_base has a range of 2**32 items or more")


def check_structure(segment: SegmentArrays) -> None:
    """Check the contents of every array against the others.

    Raises
    ------
    ValueError
        Naming the range and the rule.
    """
    terms = segment.terms
    _require(bool((terms[1:] > terms[:-1]).all()), "terms do not strictly ascend")
    dense = segment.row_of_term[segment.row_of_term >= 0]
    _require(
        dense.size == segment.n_dense and bool((dense == np.arange(dense.size)).all()),
        "row_of_term does not number the rows in order",
    )
    _require(bool((segment.row_of_term >= -1).all()), "row_of_term below -1")
    if segment.reordered:
        _check_slots(segment)
    for number in range(segment.n_ranges):
        _check_range(segment, number)
    bad = int(first_bad_count(segment.view))
    _require(bad < 0, f"counts of the {bad}-th term is not its number of postings")
    bad = int(first_bad_kth(segment.view))
    _require(bad < 0, f"kth_impacts of the {bad}-th term promise more postings than there are")


def _check_slots(segment: SegmentArrays) -> None:
    docs = segment.slot_docs[segment.slot_docs != NO_DOC]
    _require(docs.size == segment.n_docs, "slot_docs does not hold every document once")
    _require(docs.size == 0 or int(docs.max()) < segment.n_docs, "slot_docs beyond n_docs")
    seen = np.zeros(segment.n_docs, dtype=np.bool_)
    seen[docs] = True
    _require(bool(seen.all()), "slot_docs does not hold every document once")


def _check_range(segment: SegmentArrays, number: int) -> None:
    offsets = segment.offsets[number :: segment.n_ranges].astype(np.int64)
    length = int(segment.range_base[number + 1] - segment.range_base[number])
    _require(
        int(offsets[0]) == 0 and int(offsets[-1]) == length and bool((np.diff(offsets) >= 0).all()),
        f"offsets of range {number} do not ascend from 0 to its number of postings",
    )
    fault = int(check_lists(segment.view, number)) or int(check_rows(segment.view, number))
    _require(fault == 0, f"range {number}: {_FAULTS.get(fault)}")
