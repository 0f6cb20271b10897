"""`Fusion`: which method, with which weights, over how many hits of each branch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast, get_args

from lsr.errors import UsageError

Method = Literal["rrf", "min-max", "theoretical-min", "z-score", "dbsf", "max"]
Absent = Literal["score", "floor"]

METHODS: tuple[Method, ...] = get_args(Method)
RRF_K = 60.0
DEPTH = 100
MAX_DEPTH = 100_000

_NUMBERS = ("k", "depth")
_SYNTAX = (
    "write it as METHOD or METHOD:name=value,…, as in rrf:k=20 or min-max:sparse=0.4,dense=0.6"
)


@dataclass(frozen=True, slots=True)
class Fusion:
    """How rankings become one.

    Attributes
    ----------
    method : {"rrf", "min-max", "theoretical-min", "z-score", "dbsf", "max"}
        See `lsr_index.fusion.combine`.
    weights : mapping of branch name to float, or None
        None: all branches count the same. A branch of weight 0 is left out and not searched. Only
        their ratio matters.
    k : float
        Of ``rrf``: the larger, the less the first ranks stand out.
    depth : int or None
        Hits taken of each branch; together they are the pool, which does not depend on the page.
        None: 100, or the number of hits of a page where that is more.
    absent : {"score", "floor"}
        What a branch gives a document that only others returned: the score it has in that branch,
        computed for it, or that branch's smallest in the pool. Without meaning for ``rrf``.

    Raises
    ------
    UsageError
        An unknown method, a negative or no positive weight, a number out of range; says the
        choices.
    """

    method: Method = "min-max"
    weights: Mapping[str, float] | None = None
    k: float = RRF_K
    depth: int | None = None
    absent: Absent = "score"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(
                f"unknown fusion method {self.method!r}; there are {', '.join(METHODS)}"
            )
        if self.absent not in get_args(Absent):
            raise UsageError(f"absent is {' or '.join(get_args(Absent))}, got {self.absent!r}")
        if not (_is_number(self.k) and 0 <= self.k <= 1e9):
            raise UsageError(f"k of rrf is a number from 0 to 1e9, got {self.k!r}")
        if self.depth is not None and not (
            type(self.depth) is int and 1 <= self.depth <= MAX_DEPTH
        ):
            raise UsageError(
                f"depth is a whole number of hits from 1 to {MAX_DEPTH}, got {self.depth!r}"
            )
        if self.weights is not None:
            _check_weights(self.weights)

    def depth_for(self, k: int) -> int:
        """Return the number of hits to take of each branch for pages of `k` hits."""
        return max(DEPTH, k) if self.depth is None else self.depth

    def shares(self, branches: Sequence[str]) -> list[float]:
        """Return the weights of branches, in their order, with the sum 1.

        Raises
        ------
        UsageError
            Weights name a branch that is not there, or leave one out that is.
        """
        given = dict.fromkeys(branches, 1.0) if self.weights is None else self.weights
        unknown = sorted(given.keys() - set(branches))
        missing = [name for name in branches if name not in given]
        if unknown or missing:
            what = f"no branch {unknown[0]!r}" if unknown else f"no weight for {missing[0]!r}"
            raise UsageError(
                f"fusion: {what}; the branches are {', '.join(branches)} "
                "(give each a weight; 0 leaves one out)"
            )
        total = math.fsum(given.values())
        return [given[name] / total for name in branches]

    def over(self, branches: Sequence[str]) -> Fusion:
        """Return this fusion with a weight for each of `branches`; raises like `shares`."""
        self.shares(branches)
        weights = dict.fromkeys(branches, 1.0) if self.weights is None else dict(self.weights)
        return replace(self, weights=weights)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        found = asdict(self)
        found["weights"] = None if self.weights is None else dict(self.weights)
        return found

    @classmethod
    def from_json(cls, values: Any) -> Fusion:
        """Read what `to_json` wrote; raises UsageError like the constructor."""
        fields = set(cls.__slots__)
        if not isinstance(values, dict) or values.keys() - fields:
            raise UsageError(f"a fusion is an object with {', '.join(sorted(fields))}")
        return cls(**values)

    def __str__(self) -> str:
        """Return the form that `parse_fusion` reads."""
        parts = [f"{name}={weight:.6g}" for name, weight in (self.weights or {}).items()]
        if self.method == "rrf" and self.k != RRF_K:
            parts.append(f"k={self.k:g}")
        if self.depth is not None:
            parts.append(f"depth={self.depth}")
        if self.method != "rrf" and self.absent != "score":
            parts.append(f"absent={self.absent}")
        return f"{self.method}:{','.join(parts)}" if parts else self.method


def parse_fusion(text: str) -> Fusion:
    """Read ``METHOD`` or ``METHOD:name=value,…``.

    ``k``, ``depth`` and ``absent`` are the fields of `Fusion`; every other name is a branch with
    its weight.

    Raises
    ------
    UsageError
    """
    name, separator, rest = text.partition(":")
    method = name.strip().lower().replace("_", "-")
    method = {"minmax": "min-max", "zscore": "z-score"}.get(method, method)
    weights: dict[str, float] = {}
    fields: dict[str, Any] = {}
    for part in rest.split(",") if separator else ():
        key, equals, value = (piece.strip() for piece in part.rpartition("="))
        if not (equals and key and value) or key in fields or key in weights:
            raise UsageError(f"fusion {text!r}: cannot read {part.strip()!r}; {_SYNTAX}")
        if key == "absent":
            fields[key] = value
        else:
            (fields if key in _NUMBERS else weights)[key] = _number(text, key, value)
    if "depth" in fields and fields["depth"].is_integer():
        fields["depth"] = int(fields["depth"])
    return Fusion(cast("Method", method), weights or None, **fields)


def _number(text: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"fusion {text!r}: {key} takes a number, got {value!r}; {_SYNTAX}")
    return number


def _check_weights(weights: Mapping[str, float]) -> None:
    if not isinstance(weights, Mapping) or not weights:
        raise UsageError("the weights of a fusion are numbers by the names of its branches")
    for name, weight in weights.items():
        if not (_is_number(weight) and 0 <= weight <= 1e9):
            raise UsageError(
                f"the weight of branch {name!r} is a number from 0 to 1e9, got {weight!r}"
            )
    if not any(weights.values()):
        raise UsageError(
            f"the weights of {', '.join(map(repr, weights))} are all 0; at least one branch counts"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
