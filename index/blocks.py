"""Geometry of a segment: which range, block and slot a document has.

Documents in layout order fill ranges, within a range blocks of ``block_size`` neighbours, and a
document's slot is lane-major: ``lane * n_blocks + block`` (see `index.kernels.scan` for why).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_RANGE_SIZE = 1 << 16
NO_DOC = 0xFFFFFFFF
# Kernels test several blocks at a time through 64-bit words, which must not straddle lanes.
BLOCK_MULTIPLE = 4


class Geometry(NamedTuple):
    """Sizes of ranges and blocks.

    ``docs_per_range`` documents stand in every range but the last; a range has
    ``n_blocks * block_size`` slots, of which the last few may be padding.
    """

    n_docs: int
    n_ranges: int
    docs_per_range: int
    n_blocks: int
    block_size: int

    @property
    def range_size(self) -> int:
        """Slots of a range."""
        return self.n_blocks * self.block_size


def plan_geometry(n_docs: int, range_size: int, block_size: int) -> Geometry:
    """Split ``n_docs`` evenly into the fewest ranges of at most ``range_size`` slots.

    Raises
    ------
    ValueError
        If ``block_size`` is not in 1..256 or ``range_size`` not in ``block_size``..65,536.
    """
    if not 1 <= block_size <= 256:
        raise ValueError(f"block_size must be in 1..256, got {block_size}")
    step = block_size * BLOCK_MULTIPLE
    if not step <= range_size <= MAX_RANGE_SIZE:
        raise ValueError(
            f"range_size must be in {step} ({BLOCK_MULTIPLE} blocks)..{MAX_RANGE_SIZE}, "
            f"got {range_size}"
        )
    capacity = range_size - range_size % step
    n_ranges = max(1, -(-n_docs // capacity))
    docs_per_range = max(1, -(-n_docs // n_ranges))
    n_blocks = -(-docs_per_range // step) * BLOCK_MULTIPLE
    return Geometry(n_docs, n_ranges, docs_per_range, n_blocks, block_size)


def slot_documents(geometry: Geometry, order: NDArray[np.uint32] | None) -> NDArray[np.uint32]:
    """Document of every slot, ``NO_DOC`` for padding.

    Parameters
    ----------
    geometry : Geometry
    order : (n_docs,) uint32, optional
        Document at each layout position; identity if not given.

    Returns
    -------
    (n_ranges * range_size,) uint32
    """
    lane, block = np.divmod(np.arange(geometry.range_size), geometry.n_blocks)
    local = block * geometry.block_size + lane
    first = np.arange(geometry.n_ranges)[:, None] * geometry.docs_per_range
    position = first + local[None, :]
    used = (local[None, :] < geometry.docs_per_range) & (position < geometry.n_docs)
    out = np.full(position.shape, NO_DOC, dtype=np.uint32)
    out[used] = position[used] if order is None else order[position[used]]
    return out.reshape(-1)
