"""The fusion methods, one record each: parameters, normalisation with its source, combination.

`METHODS` is the one list: parsing, help texts, the HTTP schema, the fitting grid and `fuse` use it,
and `register_method` adds to it. Each record holds its formula as a NumPy function; for the methods
of this package a compiled kernel returns the same numbers.

Minimum, maximum, mean and deviation are those of the branch's own hits, so the values of a branch
do not depend on the other branches. If all hits of a branch have one score, they get 1 and other
documents 0 (``z-score``: 0 and -1; ``dbsf``: 0.5 and 0). This module loads no kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError

Values = NDArray[np.float64]
Combination = Literal["sum", "largest", "rank-sum"]
RESERVED = ("method", "weights", "depth", "absent")
"""Names that no parameter of a method can have."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a method takes, from `minimum` to `maximum`, with a sentence of help."""

    name: str
    default: float
    minimum: float
    maximum: float
    help: str


@dataclass(frozen=True, slots=True)
class FusionMethod:
    """A method of making one ranking of several.

    Attributes
    ----------
    name : str
        Lower case, with ``-`` between words.
    formula : str
        Value of a document that a branch returned, for people.
    absent : str
        Value of a document that only other branches returned.
    source : str
        Reference of the formula.
    normalise : callable
        ``normalise(ranks, scores, bound, **parameters)``: the values of one branch for the
        documents of the pool, (n,) float64, finite. `ranks` is (n,) int64, from 1, 0 where the
        branch did not return the document; `scores` (n,) float64, NaN where there is none; `bound`
        the least possible score of the branch, NaN if unknown.
    aliases : tuple of str
    parameters : tuple of Parameter
    combine : {"sum", "largest", "rank-sum"}
        The weighted sum, weights with the sum 1; the largest weighted value, weights with the
        maximum 1; the weighted sum, weights with the mean 1.
    uses_scores : bool
        False: only ranks count, so branches compute no further scores.
    needs_bound : bool
        Without a least score of every branch it is another method.
    fitting_order : int or None
        Place among the methods of ``lsr fit-fusion``, the preferred first; None: not tried.
    fitting : tuple of mapping
        Values of the parameters to try.
    kernel_code : int or None
        Its code in `lsr_index.kernels.fusion`, for the methods of this package.
    """

    name: str
    formula: str
    absent: str
    source: str
    normalise: Callable[..., Values]
    aliases: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    combine: Combination = "sum"
    uses_scores: bool = True
    needs_bound: bool = False
    fitting_order: int | None = 100
    fitting: tuple[Mapping[str, float], ...] = field(default=({},))
    kernel_code: int | None = None


def reciprocal_rank(ranks: NDArray[np.int64], scores: Values, bound: float, k: float) -> Values:
    """Return ``1 / (k + rank)``, 0 where there is no rank."""
    return np.where(ranks > 0, 1.0 / (k + np.maximum(ranks, 1)), 0.0)


def min_max(ranks: NDArray[np.int64], scores: Values, bound: float) -> Values:
    """Return ``(s - min) / (max - min)``."""
    hits = scores[ranks > 0]
    if not len(hits):
        return np.zeros(len(scores))
    return _on_line(scores, hits, hits.min(), np.ptp(hits), tied=(1.0, 0.0))


def theoretical_min(ranks: NDArray[np.int64], scores: Values, bound: float) -> Values:
    """Return ``(s - bound) / (max - bound)``; as `min_max` without a bound below the scores."""
    hits = scores[ranks > 0]
    if not len(hits) or not bound < hits.min():
        return min_max(ranks, scores, bound)
    return _on_line(scores, hits, bound, hits.max() - bound, tied=(1.0, 0.0))


def z_score(ranks: NDArray[np.int64], scores: Values, bound: float) -> Values:
    """Return ``(s - mean) / deviation``."""
    hits = scores[ranks > 0]
    if not len(hits):
        return np.zeros(len(scores))
    return _on_line(scores, hits, hits.mean(), _deviation(hits), tied=(0.0, -1.0))


def dbsf(ranks: NDArray[np.int64], scores: Values, bound: float) -> Values:
    """Return ``(s - mean + 3 deviations) / (6 deviations)``; at most 0 without a score."""
    hits = scores[ranks > 0]
    if not len(hits):
        return np.zeros(len(scores))
    deviation = _deviation(hits)
    origin = hits.mean() - 3 * deviation
    values = _on_line(scores, hits, origin, 6 * deviation, tied=(0.5, 0.0))
    return np.where(np.isnan(scores), np.minimum(values, 0.0), values)


def _deviation(hits: Values) -> float:
    # The mean of equal floats need not be one of them.
    return 0.0 if hits.min() == hits.max() else float(hits.std())


def _on_line(
    scores: Values, hits: Values, origin: Any, unit: Any, *, tied: tuple[float, float]
) -> Values:
    """Return ``(scores - origin) / unit``; without a score, the value of the last hit.

    With a unit of 0, hits get the first of `tied`, documents below or without a score the other.
    """
    least = hits.min()
    if unit == 0:
        return np.where(scores >= least, tied[0], tied[1])
    last = (least - origin) / unit
    if least == hits.max():
        last = min(0.0, last)
    values: Values = np.where(np.isnan(scores), last, (scores - origin) / unit)
    return values


_OWN_SCORE = "the same for its own score"
_BUILT_IN = (
    FusionMethod(
        "rrf", "1 / (k + rank), k = 60", "0",
        "Cormack, Clarke and Büttcher, SIGIR 2009, section 2",
        reciprocal_rank,
        parameters=(
            Parameter("k", 60.0, 0, 1e9, "RRF constant: the larger, the less the first ranks "
                      "stand out."),
        ),
        combine="rank-sum", uses_scores=False,
        fitting_order=4, fitting=({}, {"k": 10.0}), kernel_code=0,
    ),
    FusionMethod(
        "min-max", "(s − min) / (max − min)", _OWN_SCORE,
        "Lee, SIGIR 1997, section 3; convex combination: Bruch, Gai and Ingber, ACM TOIS 42(1), "
        "2023, section 4",
        min_max, aliases=("minmax",), fitting_order=3, kernel_code=1,
    ),
    FusionMethod(
        "theoretical-min",
        "(s − least possible score) / (max − least possible score): 0 for sparse, −1 for the "
        "cosine",
        _OWN_SCORE,
        "Bruch, Gai and Ingber, ACM TOIS 42(1), 2023, sections 4 and 5",
        theoretical_min, needs_bound=True, fitting_order=1, kernel_code=2,
    ),
    FusionMethod(
        "z-score", "(s − mean) / standard deviation", _OWN_SCORE,
        "Montague and Aslam, CIKM 2001, section 3",
        z_score, aliases=("zscore",), fitting_order=2, kernel_code=3,
    ),
    FusionMethod(
        "dbsf", "(s − mean + 3 deviations) / (6 deviations)", _OWN_SCORE,
        "Distribution-based score fusion: Mazzeschi, 2023; Qdrant",
        # z-score up to documents that a branch lacks: nothing to be found by trying it too.
        dbsf, fitting_order=None, kernel_code=4,
    ),
    FusionMethod(
        "max", "as min-max; the largest counts, not the sum", _OWN_SCORE,
        "CombMAX: Fox and Shaw, TREC-2, 1993; Lee, SIGIR 1997, section 3",
        min_max, combine="largest", fitting_order=5, kernel_code=5,
    ),
)  # fmt: skip

METHODS: dict[str, FusionMethod] = {method.name: method for method in _BUILT_IN}
"""The methods by name."""
DEFAULT_METHOD = "min-max"


def register_method(method: FusionMethod) -> None:
    """Add or replace a method, before the import of command line and server, which read its help.

    Raises
    ------
    UsageError
        A name belongs to a method of this package, or cannot be written in ``--fusion``; a
        parameter has a reserved name, or a default out of its range.
    """
    for name in (method.name, *method.aliases):
        owner = find_method(name)
        taken = owner is not None and (owner in _BUILT_IN or owner.name != method.name)
        if taken or name != _canonical(name) or set(name) & set(":=,. /"):
            raise UsageError(f"a fusion method cannot be called {name!r}; choose another name")
    for parameter in method.parameters:
        if parameter.name in RESERVED or not parameter.name.isidentifier():
            raise UsageError(f"a parameter of a fusion method cannot be called {parameter.name!r}")
        if not parameter.minimum <= parameter.default <= parameter.maximum:
            raise UsageError(
                f"{parameter.name} of {method.name} is {parameter.default:g} by default, which is "
                f"not from {parameter.minimum:g} to {parameter.maximum:g}"
            )
    if method.kernel_code is not None:
        raise UsageError(f"{method.name}: only methods of this package have a kernel")
    METHODS[method.name] = method


def unregister_method(name: str) -> None:
    """Remove a method that `register_method` added."""
    if METHODS.get(name) not in _BUILT_IN:
        METHODS.pop(name, None)


def find_method(name: str) -> FusionMethod | None:
    """Return a method by its name or an alias, in any case and with ``_`` for ``-``; or None."""
    wanted = _canonical(name)
    for method in METHODS.values():
        if wanted == method.name or wanted in method.aliases:
            return method
    return None


def parameters() -> dict[str, tuple[Parameter, list[str]]]:
    """Return the parameters of all methods by name, each with the methods that take it."""
    found: dict[str, tuple[Parameter, list[str]]] = {}
    for method in METHODS.values():
        for parameter in method.parameters:
            found.setdefault(parameter.name, (parameter, []))[1].append(method.name)
    return found


def _canonical(name: str) -> str:
    return name.strip().lower().replace("_", "-")
