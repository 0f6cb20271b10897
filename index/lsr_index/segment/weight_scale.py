"""Scale of an index: from all its weights, not from the largest alone.

With ``largest / 255`` a single outlier makes the step so wide that ordinary weights round to 0 and
their documents cannot be found. So the largest weight decides only as long as at most `MAX_LOST` of
the postings round to 0. Beyond that the step follows the median, and the few weights above its
range are stored as the largest impact. Clipped and lost postings are counted in the manifest and
shown by builds, commits and `stats`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr_index.segment.quantize import MAX_IMPACT, fit_scale
from lsr_index.storage.manifest import Loss

MAX_LOST = 0.05
"""Share of the postings that may round to 0 before outliers are clipped instead."""

MEDIANS = 32
"""Where they are clipped: so many times the median, which then has an impact of 7 or more."""

_SHIFT = 20
_BINS = 1 << 11


class LossCount:
    """Counts what several batches lose, in `total`.

    With `clips`, weights that do not fit the scale are clipped; else they are an error.
    """

    def __init__(self, *, clips: bool = True) -> None:
        self.clips = clips
        self.total = Loss()

    def clip(self, weights: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        """Return weights that fit a scale; count those that did not."""
        largest = np.float32(scale * MAX_IMPACT)
        above = np.rint(weights.astype(np.float64) / scale) > MAX_IMPACT
        n_clipped = int(np.count_nonzero(above))
        self.total += Loss(n_clipped=n_clipped)
        return np.where(above, largest, weights) if n_clipped else weights

    def drop(self, impacts: NDArray[np.uint8]) -> None:
        """Count the impacts that are 0."""
        self.total += Loss(n_dropped=len(impacts) - int(np.count_nonzero(impacts)))


class WeightSpread:
    """A histogram of positive weights, eight bins to every doubling; `largest` is 0 without any."""

    def __init__(self) -> None:
        self.largest = 0.0
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, weights: NDArray[np.float32]) -> None:
        """Count weights, (n,) float32, positive and finite."""
        if len(weights):
            self.largest = max(self.largest, float(weights.max()))
            bins = np.ascontiguousarray(weights, np.float32).view(np.uint32) >> np.uint32(_SHIFT)
            self._counts += np.bincount(bins, minlength=_BINS)[:_BINS]

    def add_impacts(self, counts: NDArray[np.int64], scale: float) -> None:
        """Count stored postings: how many have each impact, (256,) int64."""
        impacts = np.flatnonzero(counts[1:]) + 1
        if len(impacts):
            weights = (impacts * scale).astype(np.float32)
            self.largest = max(self.largest, float(weights.max()))
            np.add.at(self._counts, weights.view(np.uint32) >> np.uint32(_SHIFT), counts[impacts])

    def scale(self, headroom: float = 1.0, lost: int = 0) -> float:
        """Return the step that fits these weights.

        `headroom` is the factor by which later weights may be larger, `lost` the number of postings
        lost before.
        """
        n = int(self._counts.sum())
        if n == 0:
            return fit_scale(self.largest or 1.0)
        largest = self.largest * headroom
        below = self._counts[: int(_bin(largest / (2 * MAX_IMPACT)))].sum()
        if int(below) + lost <= MAX_LOST * (n + lost):
            return fit_scale(largest)
        return fit_scale(min(largest, MEDIANS * self._edge((n - 1) // 2)))

    def _edge(self, rank: int) -> float:
        """Return the upper edge of the bin with the weight of this rank, from 0, rising."""
        at = int(np.searchsorted(np.cumsum(self._counts), rank, side="right"))
        return float(np.array([(at + 1) << _SHIFT], np.uint32).view(np.float32)[0])


def _bin(weight: float) -> int:
    return int(np.array([weight], np.float32).view(np.uint32)[0] >> _SHIFT)
