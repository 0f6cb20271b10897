"""Geometry of a segment: range, block and slot of a document.

Documents in layout order fill ranges of ``range_size`` slots, and a range is divided into blocks of
``block_size`` neighbours: the document at position ``p`` of the order is in range
``p // range_size``, slot ``p % range_size``, block ``slot // block_size``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MAX_RANGE_SIZE = 1 << 16
NO_DOC = 0xFFFFFFFF
# A block is a whole number of vector registers of accumulators, and ranges begin at a word of a
# bitmap of documents.
BLOCK_SIZES = (16, 32, 64, 128, 256)
WORD = 64
# A lower share makes k = 10 faster on large collections, k = 1000 slower and the index larger: see
# the levers in docs/benchmarks.md.
DENSE_FRACTION = 1 / 16
COMPACT_DENSE_FRACTION = 1 / 8


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


DEFAULT_MEMORY_BYTES = 1 << 30
"""Working memory of a build; a writer, which works beside searches, takes a quarter of it."""


@dataclass(frozen=True)
class BuildOptions:
    """Layout of a segment, and the resources to build it with.

    Parameters
    ----------
    block_size : int
        Documents per block: 16, 32, 64, 128 or 256.
    range_size : int
        Accumulators per range, at most 65,536.
    dense_fraction : float, optional
        Terms in at least this share of the documents are stored as rows with block bounds, a byte
        for every document; the others as lists of three bytes a posting.
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
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    threads: int = 2

    @property
    def share(self) -> float:
        """The dense fraction in force."""
        if self.dense_fraction is not None:
            return self.dense_fraction
        return COMPACT_DENSE_FRACTION if self.compact else DENSE_FRACTION
