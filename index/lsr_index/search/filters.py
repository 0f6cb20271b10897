"""Filters over metadata, in the form that users of document stores know.

::

    {"language": "en"}                                  equality
    {"language": {"$in": ["en", "de"]}}                 any of
    {"year": {"$gte": 1990, "$lt": 2000}}               range of numbers
    {"published": {"$gte": "2024-01-01"}}               range of dates (ISO 8601)
    {"$and": […]}, {"$or": […]}, {"$not": {…}}          combinations
    {"language": "en", "open": true}                    several conditions: all of them

A filter is parsed once and evaluated per segment into one bit per document; the search kernels look
only at documents whose bit is set. A document without the field does not match a condition on it,
and does match its negation. Where a field holds a list, one matching element is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_index.segment.metadata_columns import (
    Columns,
    ColumnType,
    Key,
    date_key,
    keyword_key,
    number_key,
    typed_keys,
)

MAX_DEPTH = 32
MAX_VALUES = 10_000

Mask = NDArray[np.bool_]

_RANGE = {"$gt", "$gte", "$lt", "$lte"}


@dataclass(frozen=True)
class AnyOf:
    """The field has one of these keys."""

    field: str
    keys: tuple[tuple[ColumnType, Key], ...]

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return one element per document."""
        found = np.zeros(n_docs, np.bool_)
        for kind, key in self.keys:
            column = columns.column(self.field, kind)
            if column is not None:
                found[column.equal(key)] = True
        return found

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether one document's metadata passes."""
        if self.field not in metadata:
            return False
        return not set(self.keys).isdisjoint(typed_keys(metadata[self.field]))


@dataclass(frozen=True)
class Range:
    """The field has a key between two bounds; None: no bound."""

    field: str
    kind: ColumnType
    low: float | None
    high: float | None
    open_low: bool
    open_high: bool

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return one element per document."""
        found = np.zeros(n_docs, np.bool_)
        column = columns.column(self.field, self.kind)
        if column is not None:
            found[column.between(self.low, self.high, self.open_low, self.open_high)] = True
        return found

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether one document's metadata passes."""
        if self.field not in metadata:
            return False
        return any(
            kind == self.kind and not isinstance(key, bytes) and self._holds(key)
            for kind, key in typed_keys(metadata[self.field])
        )

    def _holds(self, key: float) -> bool:
        above = self.low is None or key > self.low or (key == self.low and not self.open_low)
        below = self.high is None or key < self.high or (key == self.high and not self.open_high)
        return above and below


@dataclass(frozen=True)
class All:
    """Every part passes; no part at all: everything passes."""

    parts: tuple[Filter, ...]

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return one element per document."""
        found = np.ones(n_docs, np.bool_)
        for part in self.parts:
            found &= part.mask(columns, n_docs)
        return found

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether one document's metadata passes."""
        return all(part.matches(metadata) for part in self.parts)


@dataclass(frozen=True)
class Either:
    """At least one part passes."""

    parts: tuple[Filter, ...]

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return one element per document."""
        found = np.zeros(n_docs, np.bool_)
        for part in self.parts:
            found |= part.mask(columns, n_docs)
        return found

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether one document's metadata passes."""
        return any(part.matches(metadata) for part in self.parts)


@dataclass(frozen=True)
class Not:
    """The part does not pass."""

    part: Filter

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return one element per document."""
        return ~self.part.mask(columns, n_docs)

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether one document's metadata passes."""
        return not self.part.matches(metadata)


Filter = AnyOf | Range | All | Either | Not


class _Budget(NamedTuple):
    depth: int
    values: list[int]

    def deeper(self) -> _Budget:
        if self.depth >= MAX_DEPTH:
            raise UsageError(f"a filter is nested at most {MAX_DEPTH} deep")
        return _Budget(self.depth + 1, self.values)

    def spend(self, n: int) -> None:
        self.values[0] += n
        if self.values[0] > MAX_VALUES:
            raise UsageError(f"a filter has at most {MAX_VALUES} values")


def parse_filter(source: Any) -> Filter:
    """Parse a filter of JSON values.

    Raises
    ------
    UsageError
        It is no filter; says which part.
    """
    if isinstance(source, AnyOf | Range | All | Either | Not):
        return source
    return _parse(source, _Budget(0, [0]))


def _parse(source: Any, budget: _Budget) -> Filter:
    if not isinstance(source, Mapping):
        raise UsageError(f"a filter is an object of conditions, got {_shown(source)}")
    budget.spend(1)
    parts = [_condition(name, value, budget.deeper()) for name, value in source.items()]
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _condition(name: Any, value: Any, budget: _Budget) -> Filter:
    if not isinstance(name, str):
        raise UsageError(f"a field is a string, got {_shown(name)}")
    if name in ("$and", "$or"):
        if not isinstance(value, list):
            raise UsageError(f"{name} takes a list of filters, got {_shown(value)}")
        parts = tuple(_parse(part, budget) for part in value)
        return All(parts) if name == "$and" else Either(parts)
    if name == "$not":
        return Not(_parse(value, budget))
    if name.startswith("$"):
        raise UsageError(f"unknown operator {name!r}; there are $and, $or and $not")
    if isinstance(value, Mapping):
        return _operators(name, value, budget)
    return _any_of(name, [value], budget)


def _operators(field: str, operators: Mapping[Any, Any], budget: _Budget) -> Filter:
    known = _RANGE | {"$eq", "$ne", "$in"}
    unknown = [name for name in operators if name not in known]
    if unknown or not operators:
        what = _shown(unknown[0]) if unknown else "nothing"
        raise UsageError(f"field {field!r}: expected one of {', '.join(sorted(known))}, got {what}")
    parts: list[Filter] = []
    if "$eq" in operators:
        parts.append(_any_of(field, [operators["$eq"]], budget))
    if "$ne" in operators:
        parts.append(Not(_any_of(field, [operators["$ne"]], budget)))
    if "$in" in operators:
        if not isinstance(operators["$in"], list):
            raise UsageError(f"field {field!r}: $in takes a list, got {_shown(operators['$in'])}")
        parts.append(_any_of(field, operators["$in"], budget))
    bounds = {name: value for name, value in operators.items() if name in _RANGE}
    if bounds:
        budget.spend(len(bounds))
        parts.append(_range(field, bounds))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _any_of(field: str, values: list[Any], budget: _Budget) -> AnyOf:
    budget.spend(len(values))
    return AnyOf(field, tuple(_key(field, value) for value in values))


def _key(field: str, value: Any) -> tuple[ColumnType, Key]:
    if isinstance(value, bool):
        return "boolean", int(value)
    if isinstance(value, int | float):
        return "number", _number(field, value)
    if isinstance(value, str):
        try:
            return "keyword", keyword_key(value)
        except UnicodeEncodeError:
            raise UsageError(f"field {field!r}: a value holds a lone surrogate") from None
    raise UsageError(
        f"field {field!r}: expected a string, a number, true or false, got {_shown(value)}"
    )


def _number(field: str, value: float) -> float:
    number = number_key(value)
    if number is None or not np.isfinite(number):
        raise UsageError(f"field {field!r}: expected a finite number")
    return number


def _range(field: str, bounds: Mapping[str, Any]) -> Range:
    keys: dict[str, tuple[ColumnType, float]] = {}
    for name, value in bounds.items():
        date = date_key(value) if isinstance(value, str) else None
        if date is not None:
            keys[name] = ("date", date)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            keys[name] = ("number", _number(field, value))
        else:
            raise UsageError(
                f"field {field!r}: {name} takes a number or an ISO 8601 date, got {_shown(value)}"
            )
    kinds = {kind for kind, _ in keys.values()}
    if len(kinds) > 1 or {"$gt", "$gte"} <= keys.keys() or {"$lt", "$lte"} <= keys.keys():
        raise UsageError(f"field {field!r}: a range has one lower and one upper bound of one type")
    low = keys.get("$gt") or keys.get("$gte")
    high = keys.get("$lt") or keys.get("$lte")
    return Range(
        field,
        kinds.pop(),
        None if low is None else low[1],
        None if high is None else high[1],
        "$gt" in keys,
        "$lt" in keys,
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
