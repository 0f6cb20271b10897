"""Sparsity penalties: functions of a matrix of vectors, a row for each text of the global batch.

Each is a mean over rows in some form, so that a weight found with one batch size, number of devices
or number of documents for each query means the same with another. (Code that sums FLOPS over the
positions of a group, or over devices, multiplies the weight by their number.)

The *IDF-aware* penalty of Geng et al. (arXiv 2411.04403), §3, is no function of its own: it is
`flops` of document vectors `d` while the *matching function* is ``sum_j IDF_j d_j``. In terms of
the effective impact ``u_j = IDF_j d_j`` the penalty is then ``sum_j (mean u_j / IDF_j)^2``, mild on
rare terms and hard on common ones.

Everywhere `vectors` is an (n, n_terms) tensor `w`; penalties are scalars, () tensors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def flops(vectors: Tensor) -> Tensor:
    """Return ``sum_j (mean_i |w_ij|)^2``.

    A smooth approximation of the expected number of multiplications of a query with a document; the
    square spreads activations evenly over the terms. Paria et al., "Minimizing FLOPs to Learn
    Efficient Sparse Representations" (ICLR 2020), §3, equation 4.
    """
    return vectors.abs().mean(dim=0).square().sum()


def l1(vectors: Tensor) -> Tensor:
    """Return ``mean_i sum_j |w_ij|``.

    For queries: Lassance and Clinchant, "An Efficiency Study for SPLADE Models" (SIGIR 2022), §3.
    """
    return vectors.abs().sum(dim=1).mean()


def l0_flops(vectors: Tensor, threshold: int) -> Tensor:
    """Return FLOPS over the rows with more than `threshold` non-zeros; the mean is over all rows.

    ``sum_j (1/n sum_i M_i |w_ij|)^2`` with ``M_i = 1[nnz_i > threshold]``: a text that is sparse
    enough is not penalised. Shen, Geng, Yang, "Exploring l0 Sparsification for Inference-free
    Sparse Retrievers" (SIGIR 2025), §3.
    """
    dense = (vectors != 0).sum(dim=1) > threshold
    return flops(vectors * dense[:, None])


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

    Porco et al. (SIGIR 2025), §3. `weights`, (n_terms,), are those of `df_weights`: constants, into
    which no gradient flows.
    """
    return (vectors.abs().mean(dim=0) * weights).square().sum()


def anti_collapse(vectors: Tensor, *, epsilon: float = 1e-6) -> Tensor:
    """Return ``1 / (mean_i sum_j |w_ij| + epsilon)^2``: large when the vectors are all but empty.

    From the training code published with SPLADE-v3 (arXiv 2403.06789), there with the sum over the
    batch in place of the mean, which made it depend on the batch size.
    """
    return (vectors.abs().sum(dim=1).mean() + epsilon).pow(-2)
