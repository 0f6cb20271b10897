"""How a segment is laid out: `BuildOptions`."""

from __future__ import annotations

from dataclasses import dataclass

from lsr_index.segment.geometry import MAX_RANGE_SIZE

# A lower share makes k = 10 faster on large collections, k = 1000 slower and the index larger: see
# the levers in docs/benchmarks.md.
DENSE_FRACTION = 1 / 16
COMPACT_DENSE_FRACTION = 1 / 8


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
    memory_bytes: int = 2 << 30
    threads: int = 2

    @property
    def share(self) -> float:
        """The dense fraction in force."""
        if self.dense_fraction is not None:
            return self.dense_fraction
        return COMPACT_DENSE_FRACTION if self.compact else DENSE_FRACTION
