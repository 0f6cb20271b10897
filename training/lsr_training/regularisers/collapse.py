"""Anti-collapse term, against vectors that become empty."""

from __future__ import annotations

from torch import Tensor


def anti_collapse(vectors: Tensor, *, epsilon: float = 1e-6) -> Tensor:
    """Return ``1 / (mean_i sum_j |w_ij|)^2``: large when the vectors are all but empty.

    From the training code published with SPLADE-v3 (arXiv 2403.06789), there with the sum over the
    batch in place of the mean, which made it depend on the batch size.

    Parameters
    ----------
    vectors : (n, n_terms) tensor
    epsilon : float
        Added to the mean, so that empty vectors give a large number, not infinity.

    Returns
    -------
    () tensor
    """
    return (vectors.abs().sum(dim=1).mean() + epsilon).pow(-2)
