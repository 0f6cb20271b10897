"""Kernel view of a segment: a table of the addresses of its arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.pointers import address_table
from lsr_index.kernels.score.score_docs import NO_SLOT
from lsr_index.kernels.simd.masks import MASK
from lsr_index.kernels.structs import TERM_INFO, SegmentView
from lsr_index.segment.arrays import SegmentArrays, readonly
from lsr_index.segment.format import KTH_DEPTHS


class KernelSegment:
    """A segment ready for the kernels, which index its arrays without checking bounds.

    `arrays` are built by this process, or checked (`lsr_index.segment.structure.check_indexing`).
    `table`, (len(view), 2) int64, holds the addresses and lengths of `view`, which must live as
    long as the table is used; `n_slots` counts the accumulators of a range.
    """

    def __init__(self, arrays: SegmentArrays) -> None:
        self.arrays = arrays
        self.n_docs = arrays.n_docs
        self.n_ranges = arrays.n_ranges
        self.range_size = arrays.geometry.range_size
        n_blocks, block_size = arrays.n_blocks, arrays.block_size
        self.n_slots = -(-n_blocks // MASK) * MASK * block_size
        self.view = segment_view(arrays)
        self.table = address_table(self.view)

    def slot_bitmap(self, live: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return a bitmap of documents as a bitmap of slots, which the kernels read."""
        if not self.arrays.reordered:
            return live
        bits = np.unpackbits(live.view(np.uint8), bitorder="little", count=self.n_docs)
        bits = np.append(bits, np.uint8(0))  # what padding slots find
        slots = bits[np.minimum(self.arrays.slot_docs, self.n_docs)]
        return np.packbits(slots, bitorder="little").view(np.uint64)

    def slots_of_documents(self) -> NDArray[np.uint32]:
        """Return the slot of each document in the segment; empty where the two are equal."""
        if not self.arrays.reordered:
            return readonly(np.zeros(0, np.uint32))
        slots = np.full(self.n_docs, NO_SLOT, np.uint32)
        used = np.flatnonzero(self.arrays.slot_docs < self.n_docs)
        slots[self.arrays.slot_docs[used]] = used
        return readonly(slots)


def segment_view(arrays: SegmentArrays) -> SegmentView:
    """Return the arrays and lookup tables that the kernels read."""
    sizes = [
        arrays.n_docs,
        arrays.terms.size,
        arrays.n_ranges,
        arrays.geometry.range_size,
        arrays.n_blocks,
        arrays.n_dense,
    ]
    return SegmentView(
        sizes=readonly(np.array(sizes, dtype=np.int64)),
        term_positions=readonly(term_positions(arrays.terms)),
        term_info=readonly(term_info(arrays)),
        **{name: readonly(array) for name, array in arrays.arrays().items()},
    )


def term_positions(terms: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Return the position of each term id in the dictionary, -1 for others.

    Empty where it would have more than 16 places a term, or positions beyond int32.
    """
    size = int(terms.max(initial=0)) + 1
    if size > 16 * terms.size or terms.size > np.iinfo(np.int32).max:
        return np.zeros(0, np.int32)
    positions = np.full(size, -1, np.int32)
    positions[terms] = np.arange(terms.size, dtype=np.int32)
    return positions


def term_info(arrays: SegmentArrays) -> NDArray[Any]:
    """Return a `lsr_index.kernels.structs.TERM_INFO` of each term; empty for several ranges."""
    if arrays.n_ranges != 1:
        return np.zeros(0, TERM_INFO)
    n = arrays.terms.size
    info = np.empty(n, TERM_INFO)
    info["begin"], info["end"] = arrays.offsets[:n], arrays.offsets[1 : n + 1]
    info["row"] = arrays.row_of_term
    info["max_impact"] = arrays.range_max[:n]
    info["kth_impacts"] = arrays.kth_impacts.reshape(n, len(KTH_DEPTHS))
    return info
