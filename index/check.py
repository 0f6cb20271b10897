"""Structure checks of a segment: what the kernels rely on, proven once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from index.blocks import BLOCK_MULTIPLE, MAX_RANGE_SIZE, NO_DOC, slot_documents
from index.kernels.check import check_forward, check_lists

if TYPE_CHECKING:
    from index.layout import SegmentArrays

_LIST_FAULTS = {
    1: "a slot is not below the range size, or slots of a list do not ascend",
    2: "an impact is 0",
    3: "range_max is not the largest impact of a list",
    4: "a posting is above its block_max",
    5: "a posting stands in a padding slot",
}
_FORWARD_FAULTS = {
    1: "forward_offsets do not ascend or leave the range",
    2: "forward_terms are not ascending rows of block_max",
    3: "forward index and posting lists disagree",
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
    _require(1 <= block_size <= 256, f"block_size {block_size} is not in 1..256")
    _require(n_blocks >= 1 and n_ranges >= 1, "n_blocks and n_ranges must be positive")
    _require(n_blocks % BLOCK_MULTIPLE == 0, f"n_blocks {n_blocks} is no multiple of 4")
    range_size = n_blocks * block_size
    _require(range_size <= MAX_RANGE_SIZE, f"range size {range_size} is above {MAX_RANGE_SIZE}")
    _require(0 <= segment.n_docs < NO_DOC, f"n_docs {segment.n_docs} is out of range")
    _require(1 <= segment.docs_per_range <= range_size, "docs_per_range is out of range")
    _require(n_ranges * segment.docs_per_range >= segment.n_docs, "ranges do not hold n_docs")
    n_terms = segment.terms.size
    cells = n_ranges * n_blocks
    _require(segment.block_max.size % cells == 0, "block_max is no whole number of rows")
    _require(segment.n_dense <= min(n_terms, 1 << 16), "block_max has more rows than terms")
    expected = {
        "dense_of_term": n_terms,
        "kth_impacts": 3 * n_terms,
        "range_base": n_ranges + 1,
        "offsets": n_ranges * (n_terms + 1),
        "range_max": n_ranges * n_terms,
        "slots": segment.impacts.size,
        "forward_base": n_ranges + 1,
        "forward_offsets": n_ranges * (range_size + 1),
        "forward_terms": segment.forward_impacts.size,
        "slot_docs": n_ranges * range_size,
    }
    arrays = segment.arrays()
    for name, size in expected.items():
        _require(arrays[name].size == size, f"{name} has {arrays[name].size} items, not {size}")
    for name, total in (("range_base", segment.slots.size), ("forward_base", -1)):
        base = arrays[name]
        total = segment.forward_terms.size if total < 0 else total
        _require(int(base[0]) == 0 and int(base[-1]) == total, f"{name} does not span its array")
        steps = np.diff(base)
        _require(bool((steps >= 0).all()), f"{name} does not ascend")
        _require(bool((steps < 1 << 32).all()), f"{name} has a range of 2**32 items or more")


def check_structure(segment: SegmentArrays) -> None:
    """Check the contents of every array against the others.

    Raises
    ------
    ValueError
        Naming the range and the rule.
    """
    terms = segment.terms
    _require(bool((terms[1:] > terms[:-1]).all()), "terms do not strictly ascend")
    dense = segment.dense_of_term[segment.dense_of_term >= 0]
    _require(
        dense.size == segment.n_dense and bool((dense == np.arange(dense.size)).all()),
        "dense_of_term does not number the rows of block_max in order",
    )
    _require(bool((segment.dense_of_term >= -1).all()), "dense_of_term below -1")
    docs = segment.slot_docs[segment.slot_docs != NO_DOC]
    _require(docs.size == segment.n_docs, "slot_docs does not hold every document once")
    if not segment.reordered:
        expected = slot_documents(segment.geometry, None)
        _require(np.array_equal(segment.slot_docs, expected), "slot_docs is not the plain order")
    seen = np.zeros(segment.n_docs, dtype=np.bool_)
    _require(docs.size == 0 or int(docs.max()) < segment.n_docs, "slot_docs beyond n_docs")
    seen[docs] = True
    _require(bool(seen.all()), "slot_docs does not hold every document once")
    view = segment.view
    range_size = segment.geometry.range_size
    for number in range(segment.n_ranges):
        offsets = segment.offsets[number :: segment.n_ranges].astype(np.int64)
        length = int(segment.range_base[number + 1] - segment.range_base[number])
        _require(
            int(offsets[0]) == 0
            and int(offsets[-1]) == length
            and bool((np.diff(offsets) >= 0).all()),
            f"offsets of range {number} do not ascend from 0 to its number of postings",
        )
        fault = int(check_lists(view, number))
        _require(fault == 0, f"range {number}: {_LIST_FAULTS.get(fault)}")
        at = number * (range_size + 1)
        forward = segment.forward_offsets[at : at + range_size + 1].astype(np.int64)
        length = int(segment.forward_base[number + 1] - segment.forward_base[number])
        _require(
            int(forward[0]) == 0
            and int(forward[-1]) == length
            and bool((np.diff(forward) >= 0).all()),
            f"range {number}: {_FORWARD_FAULTS[1]}",
        )
        fault = int(check_forward(view, number))
        _require(fault == 0, f"range {number}: {_FORWARD_FAULTS.get(fault)}")
    check_kth(segment)


def check_kth(segment: SegmentArrays) -> None:
    """Check that enough postings reach each stored k-th impact.

    Raises
    ------
    ValueError
        Naming the term.
    """
    from index.kernels.check import first_bad_kth

    bad = int(first_bad_kth(segment.view))
    _require(bad < 0, f"kth_impacts of the {bad}-th term promise more postings than there are")
