"""DF-FLOPS: terms weighted by the lengths of their posting lists."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def df_weights(frequency: Tensor, *, alpha: float, beta: float) -> Tensor:
    """Return the weight of each term, from the share of documents that activate it.

    ``1 / (1 + (x^(log_alpha 2) - 1)^beta)``: 1 for a term in every document, 1/2 at ``x = alpha``,
    0 for one that never occurs. Porco et al., "An Alternative to FLOPS Regularization to
    Effectively Productionize SPLADE-Doc" (SIGIR 2025), §3.

    Parameters
    ----------
    frequency : (n_terms,) tensor
        Documents with the term over all documents, 0 to 1.
    alpha : float
        Share at which the weight is 1/2, between 0 and 1.
    beta : float
        Steepness there, above 0.

    Returns
    -------
    (n_terms,) tensor
    """
    exponent = math.log(2) / math.log(alpha)
    # A frequency of 0 would make infinity, whose weight is 0 all the same.
    excess = frequency.clamp(min=1e-12).pow(exponent) - 1
    weights = 1 / (1 + excess.clamp(min=0).pow(beta))
    return torch.where(frequency > 0, weights, torch.zeros_like(weights))


def df_flops(vectors: Tensor, weights: Tensor) -> Tensor:
    """Return ``sum_j (a_j mean_i |w_ij|)^2``: long posting lists cost, short ones hardly.

    Porco et al. (SIGIR 2025), §3.

    Parameters
    ----------
    vectors : (n, n_terms) tensor
    weights : (n_terms,) tensor
        `df_weights`; constants, no gradient flows into them.

    Returns
    -------
    () tensor
    """
    return (vectors.abs().mean(dim=0) * weights).square().sum()
