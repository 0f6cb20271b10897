"""`Fusion`: method, weights and depth of a fusion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from lsr.errors import UsageError
from lsr_index.fusion.methods import DEFAULT_METHOD, METHODS, RESERVED, find_method, parameters

Absent = Literal["score", "floor"]

DEPTH = 100
MAX_DEPTH = 100_000

_SYNTAX = (
    "write it as METHOD or METHOD:name=value,…, as in rrf:k=20 or min-max:sparse=0.4,dense=0.6"
)


@dataclass(frozen=True, slots=True)
class Fusion:
    """Parameters of a fusion.

    Attributes
    ----------
    method : str
        A name of `lsr_index.fusion.methods.METHODS`.
    weights : mapping of branch name to float, or None
        Only their ratio matters; None: equal. A branch of weight 0 is not searched.
    parameters : mapping of str to float
        Those of the method (``k`` of ``rrf``), with defaults.
    depth : int or None
        Hits of each branch; together they are the pool, which does not depend on the page. None:
        100, or the number of hits of a page where that is more.
    absent : {"score", "floor"}
        Value of a document that a branch did not return: its computed score in that branch, or
        that branch's smallest in the pool. Methods that use ranks only ignore it.

    Raises
    ------
    UsageError
        An unknown method, a negative or no positive weight, a number out of range.
    """

    method: str = DEFAULT_METHOD
    weights: Mapping[str, float] | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    depth: int | None = None
    absent: Absent = "score"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(
                f"unknown fusion method {self.method!r}; there are {', '.join(METHODS)}"
            )
        if self.absent not in get_args(Absent):
            raise UsageError(f"absent is {' or '.join(get_args(Absent))}, got {self.absent!r}")
        if self.parameters or METHODS[self.method].parameters:
            values = _complete_parameters(self.method, self.parameters)
            object.__setattr__(self, "parameters", values)
        if self.depth is not None and not (
            type(self.depth) is int and 1 <= self.depth <= MAX_DEPTH
        ):
            raise UsageError(
                f"depth is a whole number of hits from 1 to {MAX_DEPTH}, got {self.depth!r}"
            )
        if self.weights is not None:
            _check_weights(self.weights)

    @property
    def scores_absent(self) -> bool:
        """Whether branches score the documents that only others returned."""
        return self.absent == "score" and METHODS[self.method].uses_scores

    def depth_for(self, k: int) -> int:
        """Return the number of hits of each branch for pages of `k` hits."""
        return max(DEPTH, k) if self.depth is None else self.depth

    def shares(self, branches: Sequence[str]) -> list[float]:
        """Return the weights of branches, in their order, with the sum 1.

        Raises
        ------
        UsageError
            Weights name a missing branch, or lack one.
        """
        weights = dict.fromkeys(branches, 1.0) if self.weights is None else self.weights
        unknown = sorted(weights.keys() - set(branches))
        missing = [name for name in branches if name not in weights]
        if unknown or missing:
            what = f"no branch {unknown[0]!r}" if unknown else f"no weight for {missing[0]!r}"
            raise UsageError(
                f"fusion: {what}; the branches are {', '.join(branches)} "
                "(give each a weight; 0 leaves one out)"
            )
        total = math.fsum(weights.values())
        return [weights[name] / total for name in branches]

    def over(self, branches: Sequence[str]) -> Fusion:
        """Return this fusion with a weight for each of `branches`; raises like `shares`."""
        self.shares(branches)
        weights = dict.fromkeys(branches, 1.0) if self.weights is None else dict(self.weights)
        return replace(self, weights=weights)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        weights = None if self.weights is None else dict(self.weights)
        rest = {"depth": self.depth, "absent": self.absent}
        return {"method": self.method, "weights": weights, **self.parameters, **rest}

    @classmethod
    def from_json(cls, values: Any) -> Fusion:
        """Read what `to_json` returned; raises UsageError like the constructor.

        Parameters of other methods are ignored: files of the first version always hold ``k``.
        """
        numbers = parameters()
        if not isinstance(values, dict) or values.keys() - {*RESERVED, *numbers}:
            raise UsageError(f"a fusion is an object with {', '.join([*RESERVED, *numbers])}")
        method = values.get("method", DEFAULT_METHOD)
        own = {
            name: value
            for name, value in values.items()
            if name in numbers and method in numbers[name][1] and value is not None
        }
        rest = {name: values[name] for name in RESERVED if name in values}
        return cls(**rest, parameters=own)

    def __str__(self) -> str:
        """Return the form that `parse_fusion` reads."""
        parts = [f"{name}={weight:.6g}" for name, weight in (self.weights or {}).items()]
        for each in METHODS[self.method].parameters:
            if self.parameters[each.name] != each.default:
                parts.append(f"{each.name}={self.parameters[each.name]:g}")
        if self.depth is not None:
            parts.append(f"depth={self.depth}")
        if self.absent != "score" and METHODS[self.method].uses_scores:
            parts.append(f"absent={self.absent}")
        return f"{self.method}:{','.join(parts)}" if parts else self.method


def parse_fusion(text: str) -> Fusion:
    """Read ``METHOD`` or ``METHOD:name=value,…``, or raise UsageError.

    ``depth``, ``absent`` and the parameters of the method are those of `Fusion`; every other name
    is a branch with its weight.
    """
    name, separator, rest = text.partition(":")
    found = find_method(name)
    own = () if found is None else [each.name for each in found.parameters]
    weights: dict[str, float] = {}
    numbers: dict[str, float] = {}
    fields: dict[str, Any] = {}
    for part in rest.split(",") if separator else ():
        key, equals, value = (piece.strip() for piece in part.rpartition("="))
        if not (equals and key and value) or key in {*fields, *weights, *numbers}:
            raise UsageError(f"fusion {text!r}: cannot read {part.strip()!r}; {_SYNTAX}")
        if key == "absent":
            fields[key] = value
        else:
            into = fields if key == "depth" else numbers if key in own else weights
            into[key] = _number(text, key, value)
    if "depth" in fields and fields["depth"].is_integer():
        fields["depth"] = int(fields["depth"])
    method = name.strip() if found is None else found.name
    return Fusion(method, weights or None, numbers, **fields)


def _number(text: str, key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"fusion {text!r}: {key} takes a number, got {value!r}; {_SYNTAX}")
    return number


def _complete_parameters(method: str, chosen: Mapping[str, float]) -> dict[str, float]:
    """Return all parameters of a method; raises UsageError on one out of range."""
    known = METHODS[method].parameters
    foreign = sorted(chosen.keys() - {each.name for each in known})
    if foreign:
        takes = ", ".join(each.name for each in known) or "none"
        raise UsageError(f"the fusion {method} has no parameter {foreign[0]!r}; it has {takes}")
    values = {}
    for each in known:
        value = chosen.get(each.name, each.default)
        if not (_is_number(value) and each.minimum <= value <= each.maximum):
            raise UsageError(
                f"{each.name} of {method} is a number from {each.minimum:g} to {each.maximum:g}, "
                f"got {value!r}"
            )
        values[each.name] = float(value)
    return values


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
