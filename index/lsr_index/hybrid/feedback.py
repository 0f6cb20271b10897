"""Pseudo-relevance feedback: the query moves towards its first documents, and searches again.

``average``: the mean of the query and its first documents. ``rocchio``: ``alpha`` times the query
plus ``beta`` times the mean of the documents, sparse vectors at length 1 and cut to their heaviest
terms. It raises deep recall and can lower early precision, so it is off by default.

References
----------
Rocchio, in: Salton (ed.), The SMART Retrieval System, 1971. Li, Mourad, Zhuang, Koopman & Zuccon,
ACM TOIS 41(3), 2023, sections 3.2 and 3.3, for dense vectors. Li et al., "To Interpolate or not to
Interpolate", SIGIR 2022, section 3, for feedback from the fused ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr_index.search.dense_index import DenseIndex
from lsr_index.search.index import Index

FeedbackMethod = Literal["rocchio", "average"]
Source = Literal["fused", "own"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """Parameters of pseudo-relevance feedback; UsageError for one out of range.

    Attributes
    ----------
    method : {"rocchio", "average"}
    docs : int
        Feedback documents, 1 to 100.
    terms : int
        New terms of a sparse query, 1 to 1000.
    alpha, beta : float
        Weights of the query and of the documents in ``rocchio``.
    source : {"fused", "own"}
        Feedback documents of a branch: the first of the fused ranking, or of its own.
    """

    method: FeedbackMethod = "rocchio"
    docs: int = 5
    terms: int = 10
    alpha: float = 0.4
    beta: float = 0.6
    source: Source = "fused"

    def __post_init__(self) -> None:
        for name, choices in (("method", get_args(FeedbackMethod)), ("source", get_args(Source))):
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"feedback: {name} is {' or '.join(choices)}, got {getattr(self, name)!r}"
                )
        for name, most in (("docs", 100), ("terms", 1000)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise UsageError(f"feedback: {name} is 1 to {most}, got {value!r}")
        if not (self.alpha >= 0 and 0 < self.beta < np.inf and self.alpha < np.inf):
            raise UsageError(
                f"feedback: alpha is 0 or more and beta above 0, got {self.alpha} and {self.beta}"
            )


def parse_feedback(text: str) -> Feedback:
    """Read ``METHOD`` or ``METHOD:name=value,…``, as in ``rocchio:docs=10,source=own``."""
    method, separator, rest = text.partition(":")
    fields: dict[str, Any] = {}
    readers = {"docs": int, "terms": int, "alpha": float, "beta": float, "source": str}
    for part in rest.split(",") if separator else ():
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            fields[name] = readers[name](value)
        except (KeyError, ValueError):
            raise UsageError(
                f"feedback {text!r}: cannot read {part.strip()!r}; write it as rocchio or "
                f"average:docs=3, with {', '.join(readers)}"
            ) from None
    return Feedback(method.strip(), **fields)  # type: ignore[arg-type]  # checked there


def expand_dense(
    dense: DenseIndex,
    query: NDArray[np.float32],
    ordinals: NDArray[np.int64],
    feedback: Feedback,
) -> NDArray[np.float32]:
    """Return a dense query moved towards documents; those without a vector are ignored."""
    found = dense.vectors(ordinals).astype(np.float64)
    found = found[found.any(axis=1)]
    if not len(found):
        return query
    start = query.astype(np.float64)
    if dense.similarity == "cosine":
        start /= max(float(np.linalg.norm(start)), 1e-30)
    if feedback.method == "average":
        moved = np.vstack([start, found]).mean(axis=0)
    else:
        moved = feedback.alpha * start + feedback.beta * found.mean(axis=0)
    return moved.astype(np.float32) if moved.any() else query


def expand_sparse(
    index: Index, query: SparseBatch, ordinals: NDArray[np.int64], feedback: Feedback
) -> SparseBatch:
    """Return a sparse query moved towards documents.

    The heaviest `feedback.terms` of the documents' terms that the query lacks are added.
    """
    start = _unit(*query.row(0))
    mean: dict[int, float] = {}
    for ordinal in ordinals.tolist():
        for term, weight in _unit(*index.vector(ordinal)).items():
            mean[term] = mean.get(term, 0.0) + weight / len(ordinals)
    if not mean:
        return query
    if feedback.method == "average":
        n = len(ordinals)
        alpha, beta = 1 / (n + 1), n / (n + 1)
    else:
        alpha, beta = feedback.alpha, feedback.beta
    new = sorted((term for term in mean if term not in start), key=lambda t: (-mean[t], t))
    kept = [*start, *new[: feedback.terms]]
    moved = {t: alpha * start.get(t, 0.0) + beta * mean.get(t, 0.0) for t in kept}
    return SparseBatch.from_rows([{term: moved[term] for term in sorted(moved)}])


def _unit(terms: NDArray[np.uint32], values: NDArray[Any]) -> dict[int, float]:
    """Return the weights of terms, (nnz,) each, scaled to length 1; empty if all are 0."""
    weights = dict(zip(terms.tolist(), values.astype(np.float64).tolist(), strict=True))
    length = float(np.sqrt(sum(weight * weight for weight in weights.values())))
    return {term: weight / length for term, weight in weights.items()} if length else {}
