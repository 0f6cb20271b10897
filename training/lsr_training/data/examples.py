"""Training examples, and how records of files become examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

Scores = Mapping[str, tuple[float, ...]]
"""Mapping of teacher to a score for each document."""

UNNAMED_TEACHER = "teacher"


class Example(NamedTuple):
    """Query with its documents.

    Attributes
    ----------
    query : str
    documents : tuple of str
        The positive first, then hard negatives in the order of the file (for a list without a
        named positive: best score first).
    scores : mapping of teacher to tuple of float
        A score for each document; empty without a teacher.
    """

    query: str
    documents: tuple[str, ...]
    scores: Scores = MappingProxyType({})


class ExampleError(ValueError):
    """Record that is not an example; the message says why."""


def example_from_record(record: Mapping[str, Any]) -> Example:
    """Make an example from a record.

    Known shapes: ``query, positive`` (pairs); with ``negative`` or ``negatives`` (triples, mined
    negatives); ``query, documents`` (scored lists). ``scores`` is a list over the documents, the
    positive first, or a mapping of teachers to such lists. Raises ExampleError.
    """
    query = _text(record, "query")
    if "documents" in record:
        documents = _texts(record, "documents")
        if not documents:
            raise ExampleError('"documents" is empty: expected at least one text')
    elif "positive" in record:
        documents = [_text(record, "positive"), *_negatives(record)]
        _require_different(documents)
    else:
        raise ExampleError(f'no field "positive" or "documents"; found {_names(record)}')
    scores = _scores(record.get("scores"), len(documents))
    if "documents" in record:
        documents, scores = _best_first(documents, scores)
    return Example(query, tuple(documents), scores)


def _text(record: Mapping[str, Any], name: str) -> str:
    if name not in record:
        raise ExampleError(f'no field "{name}"; found {_names(record)}')
    return _checked(record[name], f'"{name}"')


def _texts(record: Mapping[str, Any], name: str) -> list[str]:
    values = record[name]
    if not isinstance(values, list):
        raise ExampleError(f'"{name}": expected a list of texts, got {type(values).__name__}')
    return [_checked(value, f'"{name}", number {i}') for i, value in enumerate(values, 1)]


def _checked(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ExampleError(f"{what}: expected a text, got {type(value).__name__}")
    if not value.strip():
        raise ExampleError(f"{what} is empty; a pair needs two sides: leave the record out")
    return value


def _negatives(record: Mapping[str, Any]) -> list[str]:
    if "negative" in record and "negatives" in record:
        raise ExampleError('both "negative" and "negatives"; expected one of them')
    if "negative" in record:
        return [_text(record, "negative")]
    return _texts(record, "negatives") if record.get("negatives") is not None else []


def _require_different(documents: Sequence[str]) -> None:
    positive = documents[0].split()
    for i, negative in enumerate(documents[1:], 1):
        if negative.split() == positive:
            raise ExampleError(f"negative {i} equals the positive; remove it")


def _scores(value: Any, n_documents: int) -> Scores:
    if value is None:
        return {}
    named = value if isinstance(value, dict) else {UNNAMED_TEACHER: value}
    return {str(name): _score_list(name, scores, n_documents) for name, scores in named.items()}


def _score_list(teacher: Any, values: Any, n_documents: int) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise ExampleError(f'scores of "{teacher}": expected a list, got {type(values).__name__}')
    if len(values) != n_documents:
        raise ExampleError(
            f'scores of "{teacher}": {len(values)} for {n_documents} documents; expected one each, '
            "the positive first"
        )
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise ExampleError(f'scores of "{teacher}": {value!r} is no finite number')
    return tuple(float(value) for value in values)


def _best_first(documents: Sequence[str], scores: Scores) -> tuple[list[str], Scores]:
    if not scores:
        raise ExampleError(
            '"documents" without "scores": give scores, or name a positive and negatives'
        )
    # Teachers differ in scale: each is stretched to 0..1 before they are added.
    total = [0.0] * len(documents)
    for values in scores.values():
        low, high = min(values), max(values)
        for i, value in enumerate(values):
            total[i] += (value - low) / (high - low) if high > low else 0.0
    order = sorted(range(len(documents)), key=lambda i: -total[i])
    reordered = {name: tuple(values[i] for i in order) for name, values in scores.items()}
    return [documents[i] for i in order], reordered


def _names(record: Mapping[str, Any]) -> str:
    return ", ".join(map(str, list(record)[:10])) or "no field at all"
