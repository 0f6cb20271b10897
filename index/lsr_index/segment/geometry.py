"""Geometry of a segment: range, block and slot of a document.

Documents in layout order fill ranges of ``range_size`` slots, and a range is divided into blocks of
``block_size`` neighbours: the document at position ``p`` of the order is in range
``p // range_size``, slot ``p % range_size``, block ``slot // block_size``.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_RANGE_SIZE = 1 << 16
NO_DOC = 0xFFFFFFFF
# A block is a whole number of vector registers of accumulators, and ranges begin at a word of a
# bitmap of documents.
BLOCK_SIZES = (16, 32, 64, 128, 256)
WORD = 64


class Geometry(NamedTuple):
    """Sizes of ranges and blocks; the last slots of the last range may be padding."""

    n_docs: int
    n_ranges: int
    n_blocks: int
    block_size: int

    @property
    def range_size(self) -> int:
        """Slots of a range."""
        return self.n_blocks * self.block_size


def plan_geometry(n_docs: int, range_size: int, block_size: int) -> Geometry:
    """Divide ``n_docs`` evenly into the fewest ranges of at most ``range_size`` slots.

    Raises ValueError for a ``block_size`` not in `BLOCK_SIZES`, or a ``range_size`` above 65,536 or
    without room for a block.
    """
    if block_size not in BLOCK_SIZES:
        raise ValueError(f"block_size must be one of {BLOCK_SIZES}, got {block_size}")
    step = max(block_size, WORD)
    if not step <= range_size <= MAX_RANGE_SIZE:
        raise ValueError(f"range_size must be in {step}..{MAX_RANGE_SIZE}, got {range_size}")
    capacity = range_size - range_size % step
    n_ranges = max(1, -(-n_docs // capacity))
    share = max(1, -(-n_docs // n_ranges))
    return Geometry(n_docs, n_ranges, -(-share // step) * step // block_size, block_size)
