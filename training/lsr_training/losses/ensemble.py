"""Ensembles of teachers with scores on different scales."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6


def combine_teachers(
    scores: Tensor,
    *,
    valid: Tensor | None = None,
    bounds: Tensor | None = None,
    scale: float = 30.0,
) -> Tensor:
    """Return one score for each document: per-query min-max, averaged over teachers, scaled.

    ``scale * mean_k (t_k - min t_k) / (max t_k - min t_k + 1e-6)``, minimum and maximum over a
    query's documents: the heterogeneous ensemble of Geng et al. (arXiv 2411.04403), §3.

    When only a few of a query's documents take part in a step, the minimum and maximum should
    still be those of all of them: of two documents alone, one always gets 0 and the other 1,
    however close a teacher finds them.

    Parameters
    ----------
    scores : (n_teachers, n, g) tensor
    valid : (n, g) bool tensor, optional
        False where a query has fewer than `g` documents.
    bounds : (n_teachers, n, 2) tensor, optional
        Lowest and highest score of each query, over more documents than are here.
    scale : float
        Range of the result. The softmax of a distillation loss sharpens with it.

    Returns
    -------
    (n, g) tensor
        Between 0 and `scale`; 0 where not valid. A teacher that scores all documents of a query
        alike adds 0.
    """
    present = torch.ones_like(scores[0], dtype=torch.bool) if valid is None else valid
    if bounds is None:
        low = scores.masked_fill(~present, torch.inf).amin(dim=2, keepdim=True)
        high = scores.masked_fill(~present, -torch.inf).amax(dim=2, keepdim=True)
    else:
        low, high = bounds[:, :, :1], bounds[:, :, 1:]
    normalised = (scores - low) / (high - low + EPSILON)
    return scale * normalised.mean(dim=0).masked_fill(~present, 0)


def match_moments(
    scores: Tensor, *, mean: float, std: float, valid: Tensor | None = None
) -> Tensor:
    """Shift and stretch combined scores to a given mean and standard deviation.

    Margin losses depend on the scale of the teacher; SPLADE-v3 (arXiv 2403.06789) maps its
    normalised ensemble to the moments of a single cross-encoder before using them.

    Parameters
    ----------
    scores : (n, g) tensor
    mean, std : float
        Wanted, over all valid scores (population standard deviation).
    valid : (n, g) bool tensor, optional

    Returns
    -------
    (n, g) tensor
        0 where not valid.
    """
    present = torch.ones_like(scores, dtype=torch.bool) if valid is None else valid
    kept = scores[present]
    stretched = (scores - kept.mean()) / (kept.std(unbiased=False) + EPSILON) * std + mean
    return stretched.masked_fill(~present, 0)
