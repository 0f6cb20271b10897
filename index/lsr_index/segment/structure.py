"""Checks of a segment's arrays: for kernels to stay inside of them, and for right answers."""

from __future__ import annotations

import numpy as np

from lsr_index.kernels.build.check import check_lists, check_rows
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.format import KTH_DEPTHS, require
from lsr_index.segment.geometry import NO_DOC
from lsr_index.segment.kernel_segment import segment_view

_CHUNK = 1 << 20  # offsets compared at a time
_FAULTS = {
    1: "slots of a list do not ascend",
    2: "impacts hold a 0",
    3: "range_max is not the largest impact of a term",
    4: "offsets give a dense term a posting list",
    5: "slots or rows hold a posting without a document",
    6: "block_max is not the largest impact of a block",
}


def check_indexing(segment: SegmentArrays) -> None:
    """Check every number that kernels index with: the memory-safety boundary of a mapped segment.

    Numbers that only decide about answers (impacts, maxima, counts, the order within a list) are
    left to `check_structure`. Reads ``terms``, ``row_of_term``, ``offsets``, ``slots`` and
    ``slot_docs`` once, at the speed of memory: 0.1 ms per million postings. ValueError names the
    array.
    """
    terms = segment.terms
    require(bool((terms[1:] > terms[:-1]).all()), "terms do not strictly ascend")
    dense = segment.row_of_term[segment.row_of_term >= 0]
    require(
        dense.size == segment.n_dense and bool((dense == np.arange(dense.size)).all()),
        f"row_of_term does not number the {segment.n_dense} rows of block_max in order",
    )
    require(bool((segment.row_of_term >= -1).all()), "row_of_term below -1")
    _check_offsets(segment)
    if segment.reordered:
        _check_slot_docs(segment)
    for number in range(segment.n_ranges):
        _check_slots(segment, number)


def _check_offsets(segment: SegmentArrays) -> None:
    """Check that the lists of each range follow each other from its first posting to its last."""
    offsets = segment.offsets.reshape(-1, segment.n_ranges)
    lengths = np.diff(segment.range_base)
    ends = bool((offsets[0] == 0).all()) and bool((offsets[-1] == lengths).all())
    last = len(offsets) - 1
    step = max(1, _CHUNK // segment.n_ranges)
    parts = (slice(at, min(at + step, last)) for at in range(0, last, step))
    ascend = ends and all(
        bool((offsets[part.start + 1 : part.stop + 1] >= offsets[part]).all()) for part in parts
    )
    require(ascend, "offsets do not ascend from 0 to the postings of each range (range_base)")


def _check_slot_docs(segment: SegmentArrays) -> None:
    docs = segment.slot_docs
    n_used = int((docs < segment.n_docs).sum())
    n_empty = int((docs == NO_DOC).sum())
    require(
        n_used == segment.n_docs and n_used + n_empty == docs.size,
        f"slot_docs does not hold {segment.n_docs} documents",
    )


def _check_slots(segment: SegmentArrays, number: int) -> None:
    """Check that the postings of a range stand in slots that hold documents."""
    size = segment.geometry.range_size
    slots = segment.slots[segment.range_base[number] : segment.range_base[number + 1]]
    rows = segment.rows.reshape(segment.n_ranges, segment.n_dense, size)[number]
    first, end = number * size, min(size, max(0, segment.n_docs - number * size))
    gaps = np.zeros(0, np.intp)
    if segment.reordered:
        used = np.flatnonzero(segment.slot_docs[first : first + size] != NO_DOC)
        end = int(used[-1]) + 1 if used.size else 0
        if used.size < end:  # only in files of another writer
            gaps = np.setdiff1d(np.arange(end), used)
    require(
        slots.size == 0 or int(slots.max()) < end,
        f"slots of range {number} are not below {end}, where its documents end (slot_docs)",
    )
    require(
        not rows[:, end:].any() and not rows[:, gaps].any() and not np.isin(slots, gaps).any(),
        f"slots or rows of range {number} hold a posting without a document (slot_docs)",
    )


def check_structure(segment: SegmentArrays) -> None:
    """Check all arrays against each other; ValueError names the range and the rule."""
    check_indexing(segment)
    if segment.reordered:
        docs = segment.slot_docs[segment.slot_docs != NO_DOC]
        seen = np.zeros(segment.n_docs, dtype=np.bool_)
        seen[docs] = True
        require(bool(seen.all()), "slot_docs does not hold every document once")
    view = segment_view(segment)
    found = np.zeros((segment.terms.size, 1 + len(KTH_DEPTHS)), np.int64)
    for number in range(segment.n_ranges):
        fault = int(check_lists(view, number, found)) or int(check_rows(view, number, found))
        require(fault == 0, f"range {number}: {_FAULTS.get(fault)}")
    promised = segment.kth_impacts.reshape(-1, len(KTH_DEPTHS)) > 0
    for wrong, message in (
        (found[:, 0] != segment.counts, "counts of the {}-th term is not its number of postings"),
        (
            (promised & (found[:, 1:] < KTH_DEPTHS)).any(axis=1),
            "kth_impacts of the {}-th term promise more postings than there are",
        ),
    ):
        if wrong.any():
            require(False, message.format(int(np.argmax(wrong))))
