"""Structure checks of a segment: what the kernels rely on, proven once."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.build.check import check_lists, check_rows, first_bad_count, first_bad_kth
from lsr_index.kernels.structs import SegmentView
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.format import require
from lsr_index.segment.geometry import NO_DOC
from lsr_index.segment.kernel_segment import segment_view

_FAULTS = {
    1: "a slot is not below the range size, or slots of a list do not ascend",
    2: "an impact is 0",
    3: "range_max is not the largest impact of a term",
    4: "a dense term has a posting list",
    5: "a posting stands in a padding slot",
    6: "block_max is not the largest impact of a block",
}


def check_structure(segment: SegmentArrays) -> None:
    """Check the contents of every array against the others.

    Raises
    ------
    ValueError
        Naming the range and the rule.
    """
    terms = segment.terms
    require(bool((terms[1:] > terms[:-1]).all()), "terms do not strictly ascend")
    dense = segment.row_of_term[segment.row_of_term >= 0]
    require(
        dense.size == segment.n_dense and bool((dense == np.arange(dense.size)).all()),
        "row_of_term does not number the rows in order",
    )
    require(bool((segment.row_of_term >= -1).all()), "row_of_term below -1")
    if segment.reordered:
        _check_slots(segment)
    view = segment_view(segment)
    for number in range(segment.n_ranges):
        _check_range(segment, view, number)
    bad = int(first_bad_count(view))
    require(bad < 0, f"counts of the {bad}-th term is not its number of postings")
    bad = int(first_bad_kth(view))
    require(bad < 0, f"kth_impacts of the {bad}-th term promise more postings than there are")


def _check_slots(segment: SegmentArrays) -> None:
    docs = segment.slot_docs[segment.slot_docs != NO_DOC]
    require(docs.size == segment.n_docs, "slot_docs does not hold every document once")
    require(docs.size == 0 or int(docs.max()) < segment.n_docs, "slot_docs beyond n_docs")
    seen = np.zeros(segment.n_docs, dtype=np.bool_)
    seen[docs] = True
    require(bool(seen.all()), "slot_docs does not hold every document once")


def _check_range(segment: SegmentArrays, view: SegmentView, number: int) -> None:
    offsets = segment.offsets[number :: segment.n_ranges].astype(np.int64)
    length = int(segment.range_base[number + 1] - segment.range_base[number])
    require(
        int(offsets[0]) == 0 and int(offsets[-1]) == length and bool((np.diff(offsets) >= 0).all()),
        f"offsets of range {number} do not ascend from 0 to its number of postings",
    )
    fault = int(check_lists(view, number)) or int(check_rows(view, number))
    require(fault == 0, f"range {number}: {_FAULTS.get(fault)}")
