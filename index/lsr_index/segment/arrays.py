"""The arrays of one immutable segment, what must hold of them, and how to build them.

A segment is a set of flat NumPy arrays that may be read-only memory maps. `SegmentArrays.validate`
is the memory-safety boundary: kernels index without bounds checks, so every number they index with
is proven in range there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.structs import (
    CARD_BEGIN,
    CARD_END,
    CARD_IMPACTS,
    CARD_ROW,
    N_CARD,
    SegmentView,
)
from lsr_index.segment.geometry import MAX_RANGE_SIZE, Geometry
from lsr_index.segment.structure import check_sizes, check_structure

KTH_DEPTHS = (10, 100, 1000)
_PARAMS = ("n_docs", "n_ranges", "n_blocks", "block_size")
DTYPES: dict[str, type[np.generic]] = {
    "terms": np.uint32,
    "counts": np.uint32,
    "row_of_term": np.int32,
    "kth_impacts": np.uint8,
    "range_base": np.int64,
    "offsets": np.uint32,
    "range_max": np.uint8,
    "slots": np.uint16,
    "impacts": np.uint8,
    "rows": np.uint8,
    "block_max": np.uint8,
    "slot_docs": np.uint32,
}


@dataclass(frozen=True, eq=False)
class SegmentArrays:
    """One segment. ``R`` ranges of ``S`` slots in ``B`` blocks, ``T`` distinct terms, ``D`` dense.

    Dense terms, those in a good share of the documents, are stored as rows with a place for every
    slot; the others as posting lists.

    Parameters
    ----------
    terms : (T,) uint32
        Term ids, strictly ascending.
    counts : (T,) uint32
        Documents that hold the term.
    row_of_term : (T,) int32
        Number of a dense term, -1 for the others.
    kth_impacts : (T * 3,) uint8
        10th, 100th, 1,000th largest impact; 0 where there are fewer.
    range_base : (R + 1,) int64
        First posting of each range.
    offsets : ((T + 1) * R,) uint32
        First posting of term ``t`` in range ``r`` at ``t * R + r``, relative to ``range_base[r]``;
        the list ends where the next term's begins. Lists of dense terms are empty.
    range_max : (T * R,) uint8
        Largest impact of each term in each range, in the same places.
    slots, impacts : (n,) uint16, uint8
        Postings by range, then term, then slot.
    rows : (R * D * S,) uint8
        Impacts of the dense terms by range, then term, then slot; 0 where there is none.
    block_max : (R * D * B,) uint8
        Largest impact of each dense term in each block.
    slot_docs : (R * S,) or (0,) uint32
        Document of each slot, 2**32 - 1 for padding; empty where slots are in document order.
    n_docs, n_ranges, n_blocks, block_size : int
    compact : bool
        How it was built; for information.
    """

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
    n_docs: int
    n_ranges: int
    n_blocks: int
    block_size: int
    compact: bool = False

    @property
    def geometry(self) -> Geometry:
        """Sizes of ranges and blocks."""
        return Geometry(self.n_docs, self.n_ranges, self.n_blocks, self.block_size)

    @property
    def reordered(self) -> bool:
        """Whether slots are in another order than documents."""
        return self.slot_docs.size != 0

    @cached_property
    def n_postings(self) -> int:
        """Stored (document, term) pairs."""
        return int(self.counts.sum(dtype=np.int64))

    @property
    def n_dense(self) -> int:
        """Terms with rows."""
        cells = self.n_ranges * self.n_blocks
        return int(self.block_max.size) // cells if cells else 0

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, in the order they are stored."""
        return {name: getattr(self, name) for name in DTYPES}

    def params(self) -> dict[str, int | bool]:
        """Scalars that `from_arrays` needs beside the arrays, and counts worth storing."""
        stated: dict[str, int | bool] = {name: int(getattr(self, name)) for name in _PARAMS}
        return stated | {
            "compact": self.compact,
            "reordered": self.reordered,
            "range_size": self.geometry.range_size,
            "n_terms": int(self.terms.size),
            "n_postings": self.n_postings,
            "n_dense": self.n_dense,
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], params: Mapping[str, Any]
    ) -> SegmentArrays:
        """Wrap arrays (maps included) without copying or reading them; checks sizes only.

        Raises
        ------
        ValueError
            If an array is missing, or a dtype or size does not fit the parameters.
        """
        views: dict[str, Any] = {}
        for name, dtype in DTYPES.items():
            if name not in arrays:
                raise ValueError(f"segment array {name!r} is missing")
            array = np.asarray(arrays[name])
            if array.dtype != np.dtype(dtype) or array.ndim != 1:
                raise ValueError(
                    f"segment array {name!r} is {array.dtype} with {array.ndim} dimensions, "
                    f"expected {np.dtype(dtype)} with 1"
                )
            views[name] = readonly(array)
        scalars: dict[str, Any] = {}
        for name in _PARAMS:
            value = params.get(name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"segment parameter {name!r} is {value!r}, expected an integer")
            scalars[name] = value
        segment = cls(
            **views,
            **scalars,
            compact=bool(params.get("compact", False)),
        )
        check_sizes(segment)
        return segment

    @cached_property
    def view(self) -> SegmentView:
        """What the kernels take."""
        sizes = [
            self.n_docs,
            self.terms.size,
            self.n_ranges,
            self.geometry.range_size,
            self.n_blocks,
            self.n_dense,
        ]
        arrays = {name: readonly(array) for name, array in self.arrays().items()}
        return SegmentView(
            sizes=readonly(np.array(sizes, dtype=np.int64)),
            places=readonly(term_places(self.terms)),
            cards=readonly(term_cards(self)),
            **arrays,
        )

    def validate(self) -> None:
        """Prove that every number the kernels index with is in range, and every bound holds.

        Reads everything once: O(n_postings).

        Raises
        ------
        ValueError
            Naming the array and the first rule that does not hold.
        """
        check_sizes(self)
        check_structure(self)


def term_places(terms: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Position of each term id among the terms, -1 for others.

    Empty where it would have more than 16 places a term, or positions beyond int32.
    """
    size = int(terms.max(initial=0)) + 1
    if size > 16 * terms.size or terms.size > np.iinfo(np.int32).max:
        return np.zeros(0, np.int32)
    places = np.full(size, -1, np.int32)
    places[terms] = np.arange(terms.size, dtype=np.int32)
    return places


def term_cards(arrays: SegmentArrays) -> NDArray[np.uint32]:
    """What a search looks up of each term (see `lsr_index.kernels.structs.N_CARD`), in one row.

    Empty for segments of several ranges, where a term has more to it.
    """
    if arrays.n_ranges != 1:
        return np.zeros(0, np.uint32)
    n = arrays.terms.size
    cards = np.empty((n, N_CARD), np.uint32)
    cards[:, CARD_BEGIN] = arrays.offsets[:n]
    cards[:, CARD_END] = arrays.offsets[1 : n + 1]
    cards[:, CARD_ROW] = arrays.row_of_term.view(np.uint32)
    impacts = cards[:, CARD_IMPACTS:].view(np.uint8)
    impacts[:, 0] = arrays.range_max[:n]
    impacts[:, 1:] = arrays.kth_impacts.reshape(n, len(KTH_DEPTHS))
    return cards.reshape(-1)


def readonly(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only, contiguous, plain view, so that kernels see one array type only."""
    view = np.ascontiguousarray(array).view(np.ndarray)
    if not view.flags.aligned:
        view = view.copy()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class BuildOptions:
    """How a segment is laid out.

    Parameters
    ----------
    block_size : int
        Documents per block: 16, 32, 64, 128 or 256.
    range_size : int
        Accumulators per range, at most 65,536.
    dense_fraction : float
        Terms that stand in at least this share of the documents are stored as rows with block
        bounds, a byte for every document; the others as lists of three bytes a posting.
    compact : bool
        Fewer dense terms: smaller, somewhat slower.
    reorder : {"none", "bisect"}
        "bisect": recursive graph bisection, neighbours resemble each other.
    memory_bytes : int
        Bound on the builder's working memory.
    threads : int
        Ranges built at a time.
    """

    block_size: int = 16
    range_size: int = MAX_RANGE_SIZE
    dense_fraction: float | None = None
    compact: bool = False
    reorder: str = "none"
    memory_bytes: int = 2 << 30
    threads: int = 2

    @property
    def share(self) -> float:
        """The dense fraction in force."""
        if self.dense_fraction is not None:
            return self.dense_fraction
        return COMPACT_DENSE_FRACTION if self.compact else DENSE_FRACTION


# A lower share makes k = 10 faster on large collections, k = 1000 slower and the index larger: see
# the levers in docs/benchmarks.md.
DENSE_FRACTION = 1 / 16
COMPACT_DENSE_FRACTION = 1 / 8


def field_names() -> list[str]:
    """Names of the stored arrays and scalars, for tests and documentation."""
    return [field.name for field in fields(SegmentArrays)]


def build_segment(
    indptr: NDArray[np.int64],
    term_ids: NDArray[np.uint32],
    impacts: NDArray[np.uint8],
    n_terms: int,
    *,
    options: BuildOptions | None = None,
) -> SegmentArrays:
    """Build a segment in memory from quantised documents.

    Parameters
    ----------
    indptr : (n_docs + 1,) int64
    term_ids : (n_postings,) uint32
        Strictly ascending within a document, below ``n_terms``.
    impacts : (n_postings,) uint8
        1..255.
    n_terms : int
        Size of the vocabulary, at most 2**32.
    options : BuildOptions, optional

    Returns
    -------
    SegmentArrays
        Document ids are positions in ``indptr``, whatever the layout order.

    Raises
    ------
    ValueError
        If the input is not as described.
    """
    from lsr_index.segment.inverter import SegmentBuilder

    builder = SegmentBuilder(n_terms, options or BuildOptions())
    builder.add(indptr, term_ids, impacts)
    return builder.finish()
