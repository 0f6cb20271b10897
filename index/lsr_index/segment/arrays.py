"""The arrays of one immutable segment, in memory or mapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_index.segment.format import DTYPES, check_sizes
from lsr_index.segment.geometry import Geometry


@dataclass(frozen=True, eq=False)
class SegmentArrays:
    """The postings of one segment; `lsr_index.segment.format.POSTINGS` describes each array.

    Dense terms, those in a good share of the documents, are stored as rows with a byte for every
    slot; the others as posting lists. `n_docs` to `block_size` are those of
    `lsr_index.segment.geometry.Geometry`.
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
        return int(self.block_max.size) // (self.n_ranges * self.n_blocks)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, in the order they are stored."""
        return {name: getattr(self, name) for name in DTYPES}

    def params(self) -> dict[str, int | bool]:
        """Return the scalars that `from_arrays` needs, and counts worth storing."""
        stated: dict[str, int | bool] = dict(self.geometry._asdict())
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
        """Wrap arrays (maps included) without copying or reading; checks dtypes and sizes only.

        Raises ValueError for an array or a parameter that is missing or does not fit.
        """
        typed: dict[str, Any] = {}
        for name, dtype in DTYPES.items():
            if name not in arrays:
                raise ValueError(f"segment array {name!r} is missing")
            array = typed[name] = readonly(np.asarray(arrays[name]))
            if array.dtype != np.dtype(dtype) or array.ndim != 1:
                raise ValueError(
                    f"segment array {name!r} is {array.dtype} with {array.ndim} dimensions, "
                    f"expected {np.dtype(dtype)} with 1"
                )
        scalars: dict[str, Any] = {}
        for name in Geometry._fields:
            value = params.get(name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"segment parameter {name!r} is {value!r}, expected an integer")
            scalars[name] = value
        check_sizes(typed, Geometry(**scalars))
        return cls(**typed, **scalars, compact=bool(params.get("compact", False)))


def readonly(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only, contiguous, plain view, so that kernels see one array type only."""
    view = np.ascontiguousarray(array).view(np.ndarray)
    if not view.flags.aligned:
        view = view.copy()
    view.flags.writeable = False
    return view
