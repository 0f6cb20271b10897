"""Arrays of a segment's postings: name, dtype, length and meaning of each.

The kernels' view, the writer, the checks of sizes and the table of docs/index-format.md follow from
`POSTINGS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr_index.segment.geometry import BLOCK_SIZES, MAX_RANGE_SIZE, NO_DOC, WORD, Geometry

KTH_DEPTHS = (10, 100, 1000)
"""Ranks of the impacts in ``kth_impacts``."""


class Sizes(NamedTuple):
    """Numbers that lengths are made of, named as in docs/index-format.md.

    T: distinct terms; D: dense terms, those stored as rows; R: ranges; B: blocks of a range; S:
    slots of a range; P: postings in lists.
    """

    T: int
    D: int
    R: int
    B: int
    S: int
    P: int


class ArrayFormat(NamedTuple):
    """One array of the format.

    `length` computes its number of items from `Sizes`; `rule` and `meaning` are length and content
    as docs/index-format.md writes them; an `optional` array may be empty.
    """

    name: str
    dtype: type[np.generic]
    length: Callable[[Sizes], int]
    rule: str
    meaning: str
    optional: bool = False

    @property
    def code(self) -> str:
        """Dtype as docs/index-format.md writes it: ``u4``."""
        return np.dtype(self.dtype).str[1:]


POSTINGS = (
    ArrayFormat("terms", np.uint32, lambda s: s.T, "T", "term ids, rising"),
    ArrayFormat("counts", np.uint32, lambda s: s.T, "T", "documents that hold the term"),
    ArrayFormat(
        "row_of_term", np.int32, lambda s: s.T, "T",
        "dense terms are numbered 0 to D - 1 in the order of the terms; -1: the term has lists",
    ),
    ArrayFormat(
        "kth_impacts", np.uint8, lambda s: 3 * s.T, "3 T",
        "10th, 100th and 1,000th largest impact of term `t` at `3 t`, `3 t + 1` and `3 t + 2`; "
        "0 where there are fewer",
    ),
    ArrayFormat(
        "range_base", np.int64, lambda s: s.R + 1, "R + 1",
        "first posting of each range, from 0 to P; less than 2^32 in a range",
    ),
    ArrayFormat(
        "offsets", np.uint32, lambda s: (s.T + 1) * s.R, "(T + 1) R",
        "the list of term `t` in range `r` begins at `range_base[r] + offsets[t R + r]` and ends "
        "where that of term `t + 1` begins; those of dense terms are empty",
    ),
    ArrayFormat(
        "range_max", np.uint8, lambda s: s.T * s.R, "T R",
        "largest impact of each term, dense ones too, in each range: at `t R + r`; 0 where it is "
        "not",
    ),
    ArrayFormat(
        "slots", np.uint16, lambda s: s.P, "P",
        "slots of the documents in a list, within the range, rising",
    ),
    ArrayFormat(
        "impacts", np.uint8, lambda s: s.P, "P", "1 to 255; times `scale` it is the weight"
    ),
    ArrayFormat(
        "rows", np.uint8, lambda s: s.R * s.D * s.S, "R D S",
        "impact of dense term `d` in slot `s` of range `r` at `(r D + d) S + s`; 0: the document "
        "lacks it",
    ),
    ArrayFormat(
        "block_max", np.uint8, lambda s: s.R * s.D * s.B, "R D B",
        "largest impact of a dense term in each block, at `(r D + d) B + b`",
    ),
    ArrayFormat(
        "slot_docs", np.uint32, lambda s: s.R * s.S, "R S or 0",
        "document of each slot of the segment, every one once, 2^32 - 1: none; without entries, "
        "slot and document have the same number, and slots past the last document are empty",
        optional=True,
    ),
)  # fmt: skip
"""The arrays under ``postings/``, in the order they are stored."""

DTYPES = {array.name: array.dtype for array in POSTINGS}


def require(condition: bool, message: str) -> None:
    """Raise ValueError with a message that names the array, unless `condition` holds."""
    if not condition:
        raise ValueError(f"segment structure: {message}")


def check_sizes(arrays: Mapping[str, NDArray[Any]], geometry: Geometry) -> None:
    """Check geometry and lengths; reads ``range_base`` only. ValueError names the array."""
    _check_geometry(geometry)
    sizes = Sizes(
        T=arrays["terms"].size,
        D=arrays["block_max"].size // (geometry.n_ranges * geometry.n_blocks),
        R=geometry.n_ranges,
        B=geometry.n_blocks,
        S=geometry.range_size,
        P=arrays["slots"].size,
    )
    require(
        arrays["block_max"].size == sizes.R * sizes.D * sizes.B and sizes.D <= sizes.T,
        f"block_max has {arrays['block_max'].size} items, not a row of {sizes.R * sizes.B} for "
        f"each of at most {sizes.T} terms",
    )
    for array in POSTINGS:
        found, expected = arrays[array.name].size, array.length(sizes)
        if found == expected or (array.optional and found == 0):
            continue
        require(
            False,
            f"{array.name} has {found} items, not {expected} = {array.rule}, by "
            "terms, slots and block_max",
        )
    base = arrays["range_base"]
    steps = np.diff(base)
    require(
        int(base[0]) == 0 and int(base[-1]) == sizes.P and bool((steps >= 0).all()),
        f"range_base does not ascend from 0 to the {sizes.P} slots and impacts",
    )
    require(bool((steps < 1 << 32).all()), "range_base has a range of 2**32 items or more")


def _check_geometry(geometry: Geometry) -> None:
    n_docs, n_ranges, n_blocks, block_size = geometry
    require(block_size in BLOCK_SIZES, f"block_size {block_size} is not one of {BLOCK_SIZES}")
    require(n_blocks >= 1 and n_ranges >= 1, "n_blocks and n_ranges must be positive")
    size = geometry.range_size
    require(size % WORD == 0, f"range size {size} is no multiple of {WORD}")
    require(size <= MAX_RANGE_SIZE, f"range size {size} is above {MAX_RANGE_SIZE}")
    require(0 <= n_docs < NO_DOC, f"n_docs {n_docs} is out of range")
    require(n_ranges * size >= n_docs, f"n_ranges {n_ranges} of {size} slots do not hold n_docs")
