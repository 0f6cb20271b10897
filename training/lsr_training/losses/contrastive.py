"""Contrastive objectives."""

from __future__ import annotations

import torch
from torch import Tensor


def infonce(
    scores: Tensor, positive: Tensor, *, excluded: Tensor | None = None, temperature: float = 1.0
) -> Tensor:
    """Return the cross-entropy of each query's positive among the documents of the batch.

    ``mean_i -log( exp(s_ip / t) / sum_j exp(s_ij / t) )``, where `j` runs over the positive, the
    query's own hard negatives and the documents of the other queries: the ranking loss with
    in-batch negatives of Formal, Piwowarski, Clinchant, "SPLADE" (SIGIR 2021), §3.2, equation 5.

    Parameters
    ----------
    scores : (n, m) tensor
        Of `n` queries with the `m` documents of the batch.
    positive : (n,) int64 tensor
        Column of each query's positive.
    excluded : (n, m) bool tensor, optional
        Documents that are no negatives of a query: other copies of its positive, or everything but
        its own documents to switch the in-batch negatives off. A positive is never left out.
    temperature : float
        Scores are divided by it.

    Returns
    -------
    () tensor
        ``log m`` when all scores are equal and nothing is excluded.
    """
    logits = scores / temperature
    if excluded is not None:
        left_out = excluded.scatter(1, positive[:, None], False)
        logits = logits.masked_fill(left_out, -torch.inf)
    return torch.nn.functional.cross_entropy(logits, positive)
