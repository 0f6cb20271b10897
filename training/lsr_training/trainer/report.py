"""Report of one training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class StepReport:
    """Report of one update of the weights.

    Attributes
    ----------
    step : int
        Counted from 1.
    loss : float
    parts : mapping of name to float
        Weighted parts, whose sum is `loss`.
    learning_rate, gradient_norm, seconds : float
    nnz_queries, nnz_documents : float
        Mean number of non-zeros of the vectors of the batch.
    flops : float
        ``sum_j p_j^q p_j^d``, with `p_j` the share of queries or documents where term `j` is not
        zero: the expected number of multiplications of a query with a document. Times the number
        of documents it is the expected number of postings that a query touches.
    """

    step: int
    loss: float
    parts: Mapping[str, float]
    learning_rate: float
    gradient_norm: float
    seconds: float = field(compare=False)
    nnz_queries: float
    nnz_documents: float
    flops: float

    def record(self) -> dict[str, Any]:
        """Return the report as JSON values, flat except for the parts."""
        return {"kind": "step", **asdict(self)}


OnStep = Callable[[StepReport], None]


def measure_sparsity(queries: Tensor, documents: Tensor) -> dict[str, float]:
    """Return the sparsity fields of a `StepReport`, of (n, n_terms) and (m, n_terms) tensors."""
    active_queries, active_documents = queries > 0, documents > 0
    overlap = active_queries.double().mean(dim=0) @ active_documents.double().mean(dim=0)
    return {
        "nnz_queries": float(active_queries.sum(dim=1).double().mean()),
        "nnz_documents": float(active_documents.sum(dim=1).double().mean()),
        "flops": float(overlap),
    }
