"""Steps of training: what is scored, what is compared, what is penalised.

The student's score is the score that ships: BM25, frozen, plus the learned half times a constant.
So nothing is learned twice, and the learned half spends its terms where BM25 is blind.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from training.default_model.groups import Group
from training.default_model.student import (
    Student,
    choose_columns,
    sampled_flops,
    sampled_nnz,
)
from training.losses import combine_teachers, infonce, kl_divergence


class Material(NamedTuple):
    """Everything about the pool that steps look up.

    Attributes
    ----------
    query_pieces, document_pieces : lists of int64 arrays
        Word pieces; of queries without repeats and special tokens.
    idf : (n_terms,) float32
    lexical_queries, lexical_documents : csr_array
        BM25.
    dense_queries, dense_documents : (m, h) and (n, h) float32
        Embeddings of the dense teacher.
    allowed : (a,) int64
        Terms that may be active.
    """

    query_pieces: list[NDArray[np.int64]]
    document_pieces: list[NDArray[np.int64]]
    idf: NDArray[np.float32]
    lexical_queries: csr_array
    lexical_documents: csr_array
    dense_queries: NDArray[np.float32]
    dense_documents: NDArray[np.float32]
    allowed: NDArray[np.int64]


class Weights(NamedTuple):
    """How much the parts of the objective count."""

    learned: float = 0.5
    contrastive: float = 0.3
    flops: float = 0.01
    l0_threshold: float = 110.0
    teacher_scale: float = 10.0
    sampled_terms: int = 2000


class Measured(NamedTuple):
    """Parts of the objective of a step."""

    distillation: float
    contrastive: float
    flops: float
    nnz: float


def objective(
    student: Student,
    material: Material,
    group: Group,
    weights: Weights,
    flops_share: float,
    rng: np.random.Generator,
) -> tuple[Tensor, Measured]:
    """Return the loss of a batch.

    Parameters
    ----------
    flops_share : float
        Where the schedule of the penalty is, 0 to 1.
    """
    wanted = np.unique(np.concatenate([material.query_pieces[q] for q in group.queries]))
    wanted = wanted[np.isin(wanted, material.allowed)]
    columns = choose_columns(wanted, material.allowed, weights.sampled_terms, rng)
    vectors = student([material.document_pieces[d] for d in group.documents], columns)
    lexical = _products(material.lexical_queries, material.lexical_documents, group)
    learned = _query_weights(material, group, wanted) @ vectors[:, : columns.n_exact].T
    scores = lexical + weights.learned * learned
    valid = torch.from_numpy(~group.barred)
    dense = material.dense_queries[group.queries] @ material.dense_documents[group.documents].T
    teachers = torch.stack([lexical, torch.from_numpy(dense)])
    target = combine_teachers(teachers, valid=valid, scale=weights.teacher_scale)
    scaled = scores * _scale(scores, target, valid)
    distillation = kl_divergence(scaled, target, valid=valid)
    answered = torch.from_numpy(np.flatnonzero(group.positive >= 0))
    contrastive = scores.new_zeros(())
    if len(answered):
        contrastive = infonce(scaled[answered], torch.from_numpy(group.positive)[answered])
    flops = sampled_flops(vectors, columns, weights.l0_threshold)
    loss = distillation + weights.contrastive * contrastive + weights.flops * flops_share * flops
    nnz = float(sampled_nnz(vectors.detach(), columns).mean())
    return loss, Measured(float(distillation), float(contrastive), float(flops), nnz)


def _products(queries: csr_array, documents: csr_array, group: Group) -> Tensor:
    product = queries[group.queries] @ documents[group.documents].T
    return torch.from_numpy(np.asarray(product.todense(), np.float32))


def _query_weights(material: Material, group: Group, wanted: NDArray[np.int64]) -> Tensor:
    table = torch.zeros((len(group.queries), len(wanted)))
    for row, query in enumerate(group.queries):
        pieces = material.query_pieces[query]
        pieces = pieces[np.isin(pieces, wanted)]
        table[row, np.searchsorted(wanted, pieces)] = torch.from_numpy(material.idf[pieces])
    return table


def _scale(scores: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Bring each query's scores to the spread of its target: only their shape is compared.

    Long queries have scores many times those of short ones. The gradient runs through the spread:
    were it taken as a constant, a student too sure of itself would shrink its weights, be stretched
    to the same spread again, and so on down to empty vectors.
    """

    def spread(values: Tensor) -> Tensor:
        counts = valid.sum(dim=1, keepdim=True)
        mean = (values * valid).sum(dim=1, keepdim=True) / counts
        variance = ((values - mean) * valid).square().sum(dim=1, keepdim=True) / counts
        # Where all scores are equal, the root of zero would have no gradient.
        return (variance + 1e-6).sqrt()

    return spread(target) / spread(scores)
