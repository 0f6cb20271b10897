"""Weights to integers and back: one scale per index for documents, one per query for queries.

Documents: ``impact = rint(weight / scale)`` in 1..255, uniform over the range of the whole index.
Queries: integer weights so large that the final score uses the accumulator's full width. A term
adds ``(impact * weight) >> shift``: with ``shift = 8`` a score is the dot product of impacts and
weights divided by 256, each term rounded down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr_index.kernels.accumulator import Width, width_for
from lsr_index.kernels.score.query_weights import quantize_weights

MAX_IMPACT = 255


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
