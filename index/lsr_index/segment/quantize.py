"""Weights to integers and back: one scale per index for documents, one per query for queries.

Documents: ``impact = rint(weight / scale)`` in 1..255, uniform over the range of the whole index.
Queries: integer weights so large that the final score uses the accumulator's full width. A term
adds ``(impact * weight) >> shift``: with ``shift = 8`` a score is the dot product of impacts and
weights divided by 256, each term rounded down.

With the scale ``largest / 255`` a single outlier makes the step so wide that ordinary weights round
to 0 and their documents cannot be found. So the largest weight decides only as long as at most
`MAX_LOST` of the postings round to 0. Beyond that the step follows the median, and the few weights
above its range are stored as the largest impact. Clipped and lost postings are counted in the
manifest and shown by builds, commits and `stats`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.accumulator import Width, width_for
from lsr_index.kernels.score.query_weights import quantize_weights
from lsr_index.storage.manifest import Loss

MAX_IMPACT = 255

MAX_LOST = 0.05
"""Share of the postings that may round to 0 before outliers are clipped instead."""

MEDIANS = 32
"""Where they are clipped: so many times the median, which then has an impact of 7 or more."""

_SHIFT = 20
_BINS = 1 << 11


def fit_scale(max_weight: float) -> float:
    """Return the scale that maps ``max_weight``, positive and finite, to impact 255."""
    if not (np.isfinite(max_weight) and max_weight > 0):
        raise ValueError(f"max_weight must be positive and finite, got {max_weight!r}")
    return float(max_weight) / MAX_IMPACT


def quantize_documents(weights: NDArray[np.float32], scale: float) -> NDArray[np.uint8]:
    """Return the impacts of document weights, (n,) uint8; 0 where a weight is below half a step.

    `weights` is (n,) float32. Raises ValueError for a weight that is negative, not finite, or needs
    an impact above 255: nothing is clipped.
    """
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be positive and finite, got {scale!r}")
    weights = np.asarray(weights, dtype=np.float32)
    if weights.size == 0:
        return np.zeros(0, dtype=np.uint8)
    low, high = float(weights.min()), float(weights.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0:
        raise ValueError(f"document weights must be finite and >= 0, found {low!r}..{high!r}")
    steps = np.rint(weights.astype(np.float64) / scale)
    if steps.max() > MAX_IMPACT:
        raise ValueError(
            f"document weight {high!r} needs impact {int(steps.max())}, above the largest impact "
            f"255 of scale {scale!r} (weights up to {scale * MAX_IMPACT!r}); "
            "rebuild the index with a larger scale"
        )
    return steps.astype(np.uint8)


def quantize_query(
    weights: NDArray[np.float32], width: Width | None = None
) -> tuple[NDArray[np.uint32], float]:
    """Return integer weights of a query, and the factor that turns integer scores into scores.

    `weights` is (n,) float32; ValueError unless positive and finite. `width` is by default
    `width_for` the number of terms.

    Returns
    -------
    int_weights : (n,) uint32
        ``sum((255 * int_weights) >> shift) < top``: no score overflows. A weight below 1/32,000 of
        the sum may become 0.
    query_scale : float
        ``score ~ integer_score * scale * query_scale``.
    """
    values = np.ascontiguousarray(weights, dtype=np.float32)
    chosen = width_for(values.size) if width is None else width
    out = np.zeros(values.size, dtype=np.uint32)
    if values.size == 0:
        return out, 1.0
    if values.size * 4 > chosen.weight_limit:
        raise ValueError(f"a query of {values.size} terms does not fit {chosen.dtype.__name__}")
    factor = float(quantize_weights(values, chosen.weight_limit, out))
    if factor == 0.0:
        raise ValueError("query weights must be positive and finite")
    return out, (1 << chosen.shift) / factor


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
