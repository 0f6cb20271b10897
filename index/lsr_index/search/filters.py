"""Filters over metadata, in the form that users of document stores know.

::

    {"language": "en"}                                  equality
    {"language": {"$in": ["en", "de"]}}                 any of; $nin: none of, $ne: not equal
    {"year": {"$gte": 1990, "$lt": 2000}}               range of numbers
    {"published": {"$gte": "2024-01-01"}}               range of dates (ISO 8601)
    {"year": {"$exists": true}}                         the field has a value
    {"$and": […]}, {"$or": […]}, {"$not": {…}}          combinations
    {"language": "en", "open": true}                    several conditions: all of them
    {"$lenient": true, "yeer": 2000}                    fields need not exist, see `check_fields`

A filter is parsed once and evaluated per segment into one bit per document; the search kernels look
only at documents whose bit is set. A document without the field does not match a condition on it,
and does match its negation. Where a field holds a list, one matching element is enough. What values
are equal, and which strings are dates, is defined in `lsr_index.segment.metadata_values`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr_index.segment.delete_bitmap import Words, words_of
from lsr_index.segment.metadata_columns import Columns
from lsr_index.segment.metadata_values import (
    Key,
    ValueType,
    date_key,
    keyword_key,
    number_key,
    typed_keys,
)
from lsr_index.segment.reader import SegmentReader

MAX_DEPTH = 32
MAX_VALUES = 10_000
_SHOWN_FIELDS = 20

Mask = NDArray[np.bool_]

_RANGE = {"$gt", "$gte", "$lt", "$lte"}
_TYPE_NAMES = {"boolean": "true or false", "date": "date", "keyword": "string", "number": "number"}


@dataclass(frozen=True)
class AnyOf:
    """The field has one of these keys."""

    field: str
    keys: tuple[tuple[ValueType, Key], ...]

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return the matching documents of a segment, (n_docs,) bool."""
        if columns.rounded(self.field, self.keys):
            return columns.scan(self.matches)
        found = np.zeros(n_docs, np.bool_)
        for kind, key in self.keys:
            for column in columns.columns(self.field, kind):
                found[column.equal(key)] = True
        return found

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether the metadata of a document matches."""
        if self.field not in metadata:
            return False
        return not set(self.keys).isdisjoint(typed_keys(metadata[self.field]))


@dataclass(frozen=True)
class Range:
    """The field has a key between two bounds; None: no bound."""

    field: str
    kind: ValueType
    low: float | None
    high: float | None
    open_low: bool
    open_high: bool

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return the matching documents of a segment, (n_docs,) bool."""
        if columns.rounded(self.field, [(self.kind, self.low), (self.kind, self.high)]):
            return columns.scan(self.matches)
        found = np.zeros(n_docs, np.bool_)
        for column in columns.columns(self.field, self.kind):
            found[column.between(self.low, self.high, self.open_low, self.open_high)] = True
        return found

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether the metadata of a document matches."""
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
class Exists:
    """The field has a string, a number or a boolean; null, objects and empty lists do not count."""

    field: str

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return the matching documents of a segment, (n_docs,) bool."""
        found = np.zeros(n_docs, np.bool_)
        for column in columns.columns(self.field):
            found[column.between(None, None, False, False)] = True
        return found

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether the metadata of a document matches."""
        return next(typed_keys(metadata.get(self.field)), None) is not None


@dataclass(frozen=True)
class Group:
    """Every part matches, or with `either` at least one; `check_fields` may skip the parts."""

    parts: tuple[Filter, ...]
    either: bool = False
    checked: bool = True

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return the matching documents of a segment, (n_docs,) bool."""
        combine = np.logical_or if self.either else np.logical_and
        found = np.full(n_docs, not self.either)
        for part in self.parts:
            combine(found, part.mask(columns, n_docs), out=found)
        return found

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether the metadata of a document matches."""
        combine = any if self.either else all
        return combine(part.matches(metadata) for part in self.parts)


@dataclass(frozen=True)
class Not:
    """The part does not match."""

    part: Filter

    def mask(self, columns: Columns, n_docs: int) -> Mask:
        """Return the matching documents of a segment, (n_docs,) bool."""
        return ~self.part.mask(columns, n_docs)

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether the metadata of a document matches."""
        return not self.part.matches(metadata)


Filter = AnyOf | Range | Exists | Group | Not


class HasFields(Protocol):
    """An index with metadata fields."""

    def fields(self) -> Mapping[str, set[str]]:
        """Return the metadata fields and the types of their values."""


def merged_fields(segments: Iterable[HasFields]) -> dict[str, set[str]]:
    """Return the fields of several segments together."""
    found: dict[str, set[str]] = {}
    for segment in segments:
        for name, kinds in segment.fields().items():
            found.setdefault(name, set()).update(kinds)
    return found


def check_fields(filter: Any, index: HasFields | Mapping[str, set[str]]) -> None:
    """Raise UsageError for a filter with a field, or a type of a field, that no document has.

    Such a filter selects nothing, or with a negation everything: mostly a typing error. A filter
    with ``"$lenient": true``, and all inside it, is not checked.

    An index without any field (an empty one) accepts everything; a malformed filter is an error
    too. The message lists the fields and their types.
    """
    fields = index if isinstance(index, Mapping) else index.fields()
    if not fields:
        parse_filter(filter)
        return
    for condition in _conditions(parse_filter(filter)):
        kinds = fields.get(condition.field)
        if kinds is None:
            near = get_close_matches(condition.field, fields, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise UsageError(
                f"no document has a field {_shown(condition.field)}{hint}; {_listed(fields)}"
            )
        missing = [kind for kind in _types_of(condition) if kind not in kinds]
        if missing:
            raise UsageError(
                f"field {condition.field!r} holds {_names(kinds)}, never {_TYPE_NAMES[missing[0]]} "
                f"as in the filter; {_listed(fields)}"
            )


def _conditions(filter: Filter) -> Iterator[AnyOf | Range | Exists]:
    if isinstance(filter, Group):
        for part in filter.parts if filter.checked else ():
            yield from _conditions(part)
    elif isinstance(filter, Not):
        yield from _conditions(filter.part)
    else:
        yield filter


def _types_of(condition: AnyOf | Range | Exists) -> list[str]:
    if isinstance(condition, AnyOf):  # a date to be equal to is a string like others
        return ["keyword" if kind == "date" else kind for kind, _ in condition.keys]
    return [condition.kind] if isinstance(condition, Range) else []


def _names(kinds: set[str]) -> str:
    return " and ".join(_TYPE_NAMES[kind] for kind in sorted(kinds))


def _listed(fields: Mapping[str, set[str]]) -> str:
    shown = [f"{name} ({_names(fields[name])})" for name in sorted(fields)[:_SHOWN_FIELDS]]
    more = len(fields) - len(shown)
    return (
        f"there are: {', '.join(shown)}{f' and {more} more' if more else ''}; "
        'to select by it all the same, put "$lenient": true into the filter'
    )


def matching_documents(segment: SegmentReader, condition: Filter) -> Words:
    """Return the bitmap of the documents of a segment that match and are not deleted."""
    mask = condition.mask(segment.columns, segment.n_docs)
    return words_of(mask if segment.live is None else mask & segment.live_mask())


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
    """Parse a filter of JSON values, or raise UsageError that names the malformed part."""
    if isinstance(source, Filter):
        return source
    return _parse(source, _Budget(0, [0]))


def _parse(source: Any, budget: _Budget) -> Filter:
    if not isinstance(source, Mapping):
        raise UsageError(f"a filter is an object of conditions, got {_shown(source)}")
    budget.spend(1)
    lenient = source.get("$lenient", False)
    if not isinstance(lenient, bool):
        raise UsageError(f"$lenient is true or false, got {_shown(lenient)}")
    parts = [
        _condition(name, value, budget.deeper())
        for name, value in source.items()
        if name != "$lenient"
    ]
    if len(parts) == 1 and not lenient:
        return parts[0]
    return Group(tuple(parts), checked=not lenient)


def _condition(name: Any, value: Any, budget: _Budget) -> Filter:
    if not isinstance(name, str):
        raise UsageError(f"a field is a string, got {_shown(name)}")
    if name in ("$and", "$or"):
        if not isinstance(value, list):
            raise UsageError(f"{name} takes a list of filters, got {_shown(value)}")
        parts = tuple(_parse(part, budget) for part in value)
        return Group(parts, either=name == "$or")
    if name == "$not":
        return Not(_parse(value, budget))
    if name.startswith("$"):
        raise UsageError(f"unknown operator {name!r}; there are $and, $or, $not and $lenient")
    if isinstance(value, Mapping):
        return _operators(name, value, budget)
    return _any_of(name, [value], budget)


def _operators(field: str, operators: Mapping[Any, Any], budget: _Budget) -> Filter:
    known = _RANGE | {"$eq", "$ne", "$in", "$nin", "$exists"}
    unknown = [name for name in operators if name not in known]
    if unknown or not operators:
        what = _shown(unknown[0]) if unknown else "nothing"
        raise UsageError(f"field {field!r}: expected one of {', '.join(sorted(known))}, got {what}")
    parts: list[Filter] = []
    for name in ("$eq", "$ne", "$in", "$nin"):
        if name in operators:
            values = operators[name]
            if name in ("$eq", "$ne"):
                values = [values]
            elif not isinstance(values, list):
                raise UsageError(f"field {field!r}: {name} takes a list, got {_shown(values)}")
            found = _any_of(field, values, budget)
            parts.append(found if name in ("$eq", "$in") else Not(found))
    if "$exists" in operators:
        wanted = operators["$exists"]
        if not isinstance(wanted, bool):
            raise UsageError(f"field {field!r}: $exists takes true or false, got {_shown(wanted)}")
        budget.spend(1)
        parts.append(Exists(field) if wanted else Not(Exists(field)))
    bounds = {name: value for name, value in operators.items() if name in _RANGE}
    if bounds:
        budget.spend(len(bounds))
        parts.append(_range(field, bounds))
    return parts[0] if len(parts) == 1 else Group(tuple(parts))


def _any_of(field: str, values: list[Any], budget: _Budget) -> AnyOf:
    budget.spend(len(values))
    return AnyOf(field, tuple(_key(field, value) for value in values))


def _key(field: str, value: Any) -> tuple[ValueType, Key]:
    if isinstance(value, bool):
        return "boolean", int(value)
    if isinstance(value, int | float):
        return "number", _number(field, value)
    if isinstance(value, str):
        moment = date_key(value)
        if moment is not None:
            return "date", moment
        try:
            return "keyword", keyword_key(value)
        except UnicodeEncodeError:
            raise UsageError(f"field {field!r}: a value holds a lone surrogate") from None
    raise UsageError(
        f"field {field!r}: expected a string, a number, true or false, got {_shown(value)}"
    )


def _number(field: str, value: float) -> float:
    number = number_key(value)
    if number is None:
        raise UsageError(
            f"field {field!r}: expected a finite number, an integer of at most 64 bits"
        )
    return number


def _range(field: str, bounds: Mapping[str, Any]) -> Range:
    keys: dict[str, tuple[ValueType, float]] = {}
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
    lowest, highest = (None if bound is None else bound[1] for bound in (low, high))
    return Range(field, kinds.pop(), lowest, highest, "$gt" in keys, "$lt" in keys)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
