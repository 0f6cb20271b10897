"""Distillation objectives: margins and distributions of a teacher's scores over documents."""

from __future__ import annotations

import torch
from torch import Tensor


def margin_mse(
    student: Tensor, teacher: Tensor, *, valid: Tensor | None = None, all_pairs: bool = False
) -> Tensor:
    """Return the mean squared difference between the margins of student and teacher.

    ``(s_p - s_n) - (t_p - t_n)`` squared: Hofstätter et al., "Improving Efficient Neural Ranking
    Models with Cross-Architecture Knowledge Distillation" (arXiv 2010.02666), §3; the distillation
    of SPLADE v2 (arXiv 2109.10086), §3.2. First the margins of a query are averaged, then the
    queries, so a query counts the same however many documents it has.

    Parameters
    ----------
    student, teacher : (n, g) tensor
        Scores of each query's own documents; column 0 is the positive.
    valid : (n, g) bool tensor, optional
        False where a query has fewer than `g` documents.
    all_pairs : bool
        Compare the margins between all documents of a query, as SPLADE-v3 (arXiv 2403.06789)
        does, instead of those between the positive and each negative.

    Returns
    -------
    () tensor
        0 when no query has two documents.
    """
    present = torch.ones_like(student, dtype=torch.bool) if valid is None else valid
    error = (student - teacher).masked_fill(~present, 0)
    if all_pairs:
        margins = error[:, :, None] - error[:, None, :]
        pairs = (present[:, :, None] & present[:, None, :]).triu(1)
    else:
        margins = error[:, :1] - error[:, 1:]
        pairs = present[:, :1] & present[:, 1:]
    dims = tuple(range(1, margins.dim()))
    counts = pairs.sum(dim=dims)
    per_query = (margins.square() * pairs).sum(dim=dims) / counts.clamp(min=1)
    return per_query.sum() / (counts > 0).sum().clamp(min=1)


def kl_divergence(
    student: Tensor, teacher: Tensor, *, valid: Tensor | None = None, temperature: float = 1.0
) -> Tensor:
    """Return the divergence of the student's distribution over a query's documents.

    ``t^2 * mean_i KL( softmax(teacher_i / t) || softmax(student_i / t) )``; the factor keeps
    gradients of the same size whatever the temperature (Hinton, Vinyals, Dean, arXiv 1503.02531,
    §2.1). Used by Lassance and Clinchant, "An Efficiency Study for SPLADE Models" (SIGIR 2022),
    §3, and with an ensemble by Geng et al. (arXiv 2411.04403), §3. Self-distillation is this with
    scores of the student's own earlier checkpoint.

    Parameters
    ----------
    student, teacher : (n, g) tensor
        Scores of each query's own documents.
    valid : (n, g) bool tensor, optional
        False where a query has fewer than `g` documents; every query has at least one.
    temperature : float

    Returns
    -------
    () tensor
        At least 0; 0 when the two differ by a constant for each query.
    """
    if valid is not None:
        # Not minus infinity: 0 * inf would make the gradient undefined.
        lowest = -1e30 if student.dtype is not torch.float16 else -6e4
        student = student.masked_fill(~valid, lowest)
        teacher = teacher.masked_fill(~valid, lowest)
    target = torch.log_softmax(teacher / temperature, dim=1)
    log_probability = torch.log_softmax(student / temperature, dim=1)
    terms = target.exp() * (target - log_probability)
    if valid is not None:
        terms = terms.masked_fill(~valid, 0)
    return temperature**2 * terms.sum(dim=1).mean()
