"""Scores of queries with documents: dot products of sparse vectors."""

from __future__ import annotations

import torch
from torch import Tensor


def score_all(queries: Tensor, documents: Tensor) -> Tensor:
    """Return the score of every query with every document.

    An inference-free query is its IDF table restricted to its pieces, so IDF is in this product:
    that is what makes FLOPS of the documents *IDF-aware* (Geng et al., arXiv 2411.04403, §3).
    (n, n_terms) and (m, n_terms) tensors make an (n, m) tensor.
    """
    return queries @ documents.T


def score_groups(scores: Tensor, groups: Tensor) -> Tensor:
    """Return the scores of each query's own documents, (n, g); 0 where there is no document.

    Parameters
    ----------
    scores : (n, m) tensor
    groups : (n, g) int64 tensor
        Columns of `scores`; -1 where a query has fewer documents.
    """
    return scores.gather(1, groups.clamp(min=0)).masked_fill(groups < 0, 0)


def excluded_documents(
    positive: Tensor, groups: Tensor, texts: Tensor, *, in_batch: bool
) -> Tensor:
    """Return which documents must not be negatives of which queries, (n, m) bool.

    Copies of a query's positive are none, whichever query brought them. Without in-batch
    negatives, neither are the documents of other queries.

    Parameters
    ----------
    positive : (n,) int64 tensor
        Column of each query's positive.
    groups : (n, g) int64 tensor
        Columns of its own documents; -1 where there are fewer.
    texts : (m,) int64 tensor
        Equal numbers for equal texts.
    """
    excluded = texts[positive][:, None] == texts[None, :]
    if not in_batch:
        own = torch.zeros_like(excluded)
        rows = torch.arange(len(groups), device=groups.device)[:, None].expand_as(groups)
        own[rows[groups >= 0], groups[groups >= 0]] = True
        excluded = excluded | ~own
    return excluded
