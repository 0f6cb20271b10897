"""Objectives: pure functions of score matrices. Every one is a mean over queries, a () tensor.

They take scores of the student, which `lsr_training.scoring` computes from vectors gathered over
all devices. A value depends on the global batch only, not on the number of devices or of documents
of a query.

Scores of each query's own documents are (n, g) tensors, the positive in column 0; `valid`, an
(n, g) bool tensor, is False where a query has fewer than `g` documents, and may be left out where
none has.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6


def infonce(
    scores: Tensor, positive: Tensor, *, excluded: Tensor | None = None, temperature: float = 1.0
) -> Tensor:
    """Return the cross-entropy of each query's positive among the documents of the batch.

    ``mean_i -log( exp(s_ip / t) / sum_j exp(s_ij / t) )``, where `j` runs over the positive, the
    query's own hard negatives and the documents of the other queries: the ranking loss with
    in-batch negatives of Formal, Piwowarski, Clinchant, "SPLADE" (SIGIR 2021), §3.2, equation 5.
    It is ``log m`` when all scores are equal and nothing is excluded.

    Parameters
    ----------
    scores : (n, m) tensor
        Of `n` queries with the `m` documents of the batch.
    positive : (n,) int64 tensor
        Column of each query's positive.
    excluded : (n, m) bool tensor, optional
        Documents that are no negatives of a query: other copies of its positive, or everything but
        its own documents to switch the in-batch negatives off. A positive is never excluded.
    temperature : float
        Scores are divided by it.
    """
    logits = scores / temperature
    if excluded is not None:
        masked = excluded.scatter(1, positive[:, None], False)
        logits = logits.masked_fill(masked, -torch.inf)
    return torch.nn.functional.cross_entropy(logits, positive)


def margin_mse(
    student: Tensor, teacher: Tensor, *, valid: Tensor | None = None, all_pairs: bool = False
) -> Tensor:
    """Return the mean squared difference between the margins of student and teacher.

    ``(s_p - s_n) - (t_p - t_n)`` squared: Hofstätter et al., "Improving Efficient Neural Ranking
    Models with Cross-Architecture Knowledge Distillation" (arXiv 2010.02666), §3; the distillation
    of SPLADE v2 (arXiv 2109.10086), §3.2. First the margins of a query are averaged, then the
    queries, so a query counts the same however many documents it has. It is 0 when no query has two
    documents.

    Parameters
    ----------
    student, teacher, valid
        Scores as described above.
    all_pairs : bool
        Compare the margins between all documents of a query, as SPLADE-v3 (arXiv 2403.06789)
        does, instead of those between the positive and each negative.
    """
    present = _present(student, valid)
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
    student, teacher, valid
        Scores as described above; every query has at least one document.
    temperature : float
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
    present = _present(scores[0], valid)
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
    """Shift and stretch combined scores to a mean and a (population) standard deviation.

    Margin losses depend on the scale of the teacher; SPLADE-v3 (arXiv 2403.06789) maps its
    normalised ensemble to the moments of a single cross-encoder before using them. The result,
    (n, g), is 0 where not valid.
    """
    present = _present(scores, valid)
    kept = scores[present]
    stretched = (scores - kept.mean()) / (kept.std(unbiased=False) + EPSILON) * std + mean
    return stretched.masked_fill(~present, 0)


def _present(scores: Tensor, valid: Tensor | None) -> Tensor:
    return torch.ones_like(scores, dtype=torch.bool) if valid is None else valid
