"""FLOPS, L1 and L0 penalties on the number of active terms."""

from __future__ import annotations

from torch import Tensor


def flops(vectors: Tensor) -> Tensor:
    """Return ``sum_j (mean_i |w_ij|)^2``.

    A smooth approximation of the expected number of multiplications of a query with a document; the
    square spreads activations evenly over the terms. Paria et al., "Minimizing FLOPs to Learn
    Efficient Sparse Representations" (ICLR 2020), §3, equation 4.

    Parameters
    ----------
    vectors : (n, n_terms) tensor

    Returns
    -------
    () tensor
    """
    return vectors.abs().mean(dim=0).square().sum()


def l1(vectors: Tensor) -> Tensor:
    """Return ``mean_i sum_j |w_ij|``.

    For queries: Lassance and Clinchant, "An Efficiency Study for SPLADE Models" (SIGIR 2022), §3.

    Parameters
    ----------
    vectors : (n, n_terms) tensor

    Returns
    -------
    () tensor
    """
    return vectors.abs().sum(dim=1).mean()


def l0_flops(vectors: Tensor, threshold: int) -> Tensor:
    """Return FLOPS over the rows with more than `threshold` non-zeros; the mean is over all rows.

    ``sum_j (1/n sum_i M_i |w_ij|)^2`` with ``M_i = 1[nnz_i > threshold]``: a text that is sparse
    enough is not penalised. Shen, Geng, Yang, "Exploring l0 Sparsification for Inference-free
    Sparse Retrievers" (SIGIR 2025), §3.

    Parameters
    ----------
    vectors : (n, n_terms) tensor
    threshold : int

    Returns
    -------
    () tensor
    """
    dense = (vectors != 0).sum(dim=1) > threshold
    return flops(vectors * dense[:, None])
