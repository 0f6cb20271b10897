"""Options of a sparse search and their packed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_index.kernels.structs import OPTIONS

ALPHA_ONE = 1 << 16
_KEPT_DEPTHS = 64


@dataclass(frozen=True)
class SearchOptions:
    """How to search. The defaults are exact.

    Parameters
    ----------
    alpha : float
        Bounds are multiplied by it before they are compared with the threshold; below 1 more is
        skipped and the result is approximate (BMP, SIGIR 2024).
    beta : float
        Share of the query terms kept, heaviest first; below 1 approximate.
    max_work : int
        Postings (16 cells of a row count as one) after which no further range is started; 0 = no
        cap.
    split, bounds, kth_threshold, estimates, range_scan : bool
        Optimisations of the exact search, switched off for measurements: rows only for blocks that
        may hold a hit, block-max bounds, a threshold from stored k-th impacts, one from the most
        promising blocks, rows for the whole range where candidate blocks are many. Results are
        exact without them, too.
    width : {0, 16, 32}
        Accumulator bits; 0 chooses from the number of query terms.
    block_cost : int
        Cost of adding a row to one block on its own, in blocks of a row added as a whole.

    Raises
    ------
    UsageError
        A number is out of range.
    """

    alpha: float = 1.0
    beta: float = 1.0
    max_work: int = 0
    split: bool = True
    bounds: bool = True
    kth_threshold: bool = True
    estimates: bool = True
    range_scan: bool = True
    width: Literal[0, 16, 32] = 0
    block_cost: int = 4

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "max_work", "block_cost"):
            if not isinstance(getattr(self, name), Real):
                raise UsageError(f"{name} must be a number, got {getattr(self, name)!r}")
        for name in ("alpha", "beta"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(f"{name} must be in (0, 1], got {getattr(self, name)!r}")
        if self.max_work < 0:
            raise UsageError(f"max_work must be >= 0, got {self.max_work!r}")
        if self.width not in (0, 16, 32):
            raise UsageError(f"width must be 0, 16 or 32, got {self.width!r}")
        if self.block_cost < 1:
            raise UsageError(f"block_cost must be positive, got {self.block_cost!r}")

    @property
    def alpha_units(self) -> int:
        """``alpha`` in 1/65536, for the kernels."""
        return max(1, round(self.alpha * ALPHA_ONE))

    @cached_property
    def approximate(self) -> bool:
        """Whether bounds are scaled or terms dropped."""
        return self.alpha < 1 or self.beta < 1

    def packed(self, k: int) -> NDArray[np.int64]:
        """Return the options as an `OPTIONS` record, (n,) int64; read-only."""
        found = self._packed.get(k)
        if found is None:
            values = (
                k, self.alpha_units, self.max_work, self.split, self.bounds, self.kth_threshold,
                self.estimates, self.range_scan, self.block_cost,
            )  # fmt: skip
            found = np.array([values], OPTIONS).view(np.int64)
            if len(self._packed) < _KEPT_DEPTHS:
                self._packed[k] = found
        return found

    @cached_property
    def _packed(self) -> dict[int, NDArray[np.int64]]:
        return {}


EXACT = SearchOptions()
EXHAUSTIVE = SearchOptions(
    split=False, bounds=False, kth_threshold=False, estimates=False, range_scan=False
)


def sparse_options(alpha: float, beta: float, max_work: int) -> SearchOptions:
    """Return the options of a search that may be approximate."""
    if (alpha, beta, max_work) == (1, 1, 0):
        return EXACT
    return SearchOptions(alpha=alpha, beta=beta, max_work=max_work)
