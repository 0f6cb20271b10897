"""Metadata fields of a segment as columns that filters can look up.

Every top-level field is filterable; nothing has to be declared. A value belongs to the column of
its own type: a string to the keywords, a number to the numbers, true and false to the booleans, and
a string that is an ISO 8601 date to the dates as well. The elements of a list count each. A column
holds its distinct keys, rising, and for each key the documents that have it.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, DataError
from lsr_index.storage.container import Container, ContainerWriter

ColumnType = Literal["boolean", "date", "keyword", "number"]

MAX_COLUMNS = 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_KEY_DTYPES: dict[str, str] = {"boolean": "|u1", "date": "<i8", "keyword": "<u8", "number": "<f8"}

Key = bytes | float | int


@lru_cache(maxsize=1 << 16)
def keyword_key(text: str) -> bytes:
    """Return the key of a string: BLAKE2b of 16 bytes. Two strings never share one in practice."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@lru_cache(maxsize=1 << 16)
def date_key(text: str) -> int | None:
    """Return an ISO 8601 date in microseconds since 1970, UTC where it names no zone, or None."""
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    difference = moment - _EPOCH
    return (difference.days * 86_400 + difference.seconds) * 10**6 + difference.microseconds


def typed_keys(value: Any) -> Iterator[tuple[ColumnType, Key]]:
    """Yield the type and key of a JSON value, or of each element of a list."""
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, bool):
            yield "boolean", int(item)
        elif isinstance(item, (int, float)):
            number = number_key(item)
            if number is not None:
                yield "number", number
        elif isinstance(item, str):
            yield "keyword", keyword_key(item)
            date = date_key(item)
            if date is not None:
                yield "date", date


def number_key(value: float) -> float | None:
    """Return a number as IEEE double, as JSON means it; None beyond their range."""
    try:
        return float(value) + 0.0  # no negative zero
    except OverflowError:
        return None


class ColumnWriter:
    """Collects the metadata of documents: 12 to 20 bytes per value."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, ColumnType], Any] = {}
        self._documents: dict[tuple[str, ColumnType], array[int]] = {}
        self._n_docs = 0

    def add(self, stored: bytes) -> None:
        """Add the next document's metadata, as stored: JSON, or nothing."""
        if stored:
            for field, value in json.loads(stored).items():
                for kind, key in typed_keys(value):
                    self._append((field, kind), key)
        self._n_docs += 1

    def _append(self, column: tuple[str, ColumnType], key: Key) -> None:
        if column not in self._keys:
            if len(self._keys) >= MAX_COLUMNS:
                raise DataError(
                    f"metadata field {column[0]!r}: a segment has at most {MAX_COLUMNS} filterable "
                    "fields; put what is not filtered by into one nested object"
                )
            codes = {"boolean": "B", "date": "q", "number": "d"}
            empty = bytearray() if column[1] == "keyword" else array(codes[column[1]])
            self._keys[column], self._documents[column] = empty, array("i")
        if isinstance(key, bytes):
            self._keys[column] += key
        else:
            self._keys[column].append(key)
        self._documents[column].append(self._n_docs)

    def write(self, container: ContainerWriter) -> list[dict[str, str]]:
        """Write all columns; return what the reader needs to find them."""
        names = sorted(self._keys)
        for i, column in enumerate(names):
            keys = np.frombuffer(self._keys[column], _KEY_DTYPES[column[1]])
            documents = np.frombuffer(self._documents[column], np.int32)
            if column[1] == "keyword":
                keys = keys.reshape(-1, 2)
                order = np.lexsort((keys[:, 1], keys[:, 0]))
            else:
                order = np.argsort(keys, kind="stable")
            keys = keys[order]
            differs = keys[1:] != keys[:-1]
            differs = differs.any(axis=1) if differs.ndim == 2 else differs
            first = np.concatenate([[0], np.flatnonzero(differs) + 1])
            container.add(f"columns/{i}/keys", keys[first])
            container.add(f"columns/{i}/starts", np.append(first, len(keys)).astype(np.int64))
            container.add(f"columns/{i}/documents", documents[order])
        return [{"field": field, "type": kind} for field, kind in names]


class Column:
    """One field of one type, read through the map."""

    def __init__(self, container: Container, number: int, kind: str, n_docs: int) -> None:
        self._container = container
        self._n_docs = n_docs
        self.kind = kind
        self._keys: NDArray[Any] = container.array(f"columns/{number}/keys")
        self._starts: NDArray[np.int64] = container.array(f"columns/{number}/starts")
        self._documents: NDArray[np.int32] = container.array(f"columns/{number}/documents")
        self._offset = container.entries[f"columns/{number}/keys"].offset
        shape = (len(self._starts) - 1, 2) if kind == "keyword" else (len(self._starts) - 1,)
        dtypes = (self._keys.dtype.str, self._starts.dtype.str, self._documents.dtype.str)
        if dtypes != (_KEY_DTYPES[kind], "<i8", "<i4") or self._keys.shape != shape:
            raise self._corrupt("a column has another dtype or shape than it must")

    def equal(self, key: Key) -> NDArray[np.int32]:
        """Return the documents that have a key."""
        if isinstance(key, bytes):
            high, low = np.frombuffer(key, "<u8")
            first, last = self._span(self._keys[:, 0], high, high)
            first_low, last_low = self._span(self._keys[first:last, 1], low, low)
            return self._slice(first + first_low, first + last_low)
        return self._slice(*self._span(self._keys, key, key))

    def between(
        self, low: float | None, high: float | None, open_low: bool, open_high: bool
    ) -> NDArray[np.int32]:
        """Return the documents that have a key from `low` to `high`, the ends in or out."""
        n = len(self._keys)
        side_low: Literal["left", "right"] = "right" if open_low else "left"
        side_high: Literal["left", "right"] = "left" if open_high else "right"
        first = 0 if low is None else int(np.searchsorted(self._keys, low, side=side_low))
        last = n if high is None else int(np.searchsorted(self._keys, high, side=side_high))
        return self._slice(first, max(first, last))

    def check(self) -> None:
        """Check order and ranges. Raises CorruptIndexError."""
        keys = self._keys
        if self.kind == "keyword":
            rising = (keys[1:, 0] > keys[:-1, 0]) | (
                (keys[1:, 0] == keys[:-1, 0]) & (keys[1:, 1] > keys[:-1, 1])
            )
        else:
            rising = keys[1:] > keys[:-1]
        if not rising.all():
            raise self._corrupt("the keys of a column are not in order")
        starts, documents = self._starts, self._documents
        if starts[0] != 0 or starts[-1] != len(documents) or (np.diff(starts) < 1).any():
            raise self._corrupt("the lists of a column do not cover its documents")
        if len(documents) and (documents.min() < 0 or documents.max() >= self._n_docs):
            raise self._corrupt("a column names a document that the segment has not")

    def _span(self, keys: NDArray[Any], low: Any, high: Any) -> tuple[int, int]:
        return (
            int(np.searchsorted(keys, low, side="left")),
            int(np.searchsorted(keys, high, side="right")),
        )

    def _slice(self, first: int, last: int) -> NDArray[np.int32]:
        start, end = int(self._starts[first]), int(self._starts[last])
        found = self._documents[start:end]
        if not 0 <= start <= end <= len(self._documents):
            raise self._corrupt("the lists of a column do not cover its documents")
        if len(found) and (int(found.min()) < 0 or int(found.max()) >= self._n_docs):
            raise self._corrupt("a column names a document that the segment has not")
        return found

    def _corrupt(self, message: str) -> CorruptIndexError:
        return CorruptIndexError(message, self._container.path, self._offset)


class Columns:
    """All columns of one segment, opened one by one when they are asked for."""

    def __init__(self, container: Container, n_docs: int) -> None:
        self._container = container
        self._n_docs = n_docs
        self._numbers: dict[tuple[str, str], int] = {}
        self._opened: dict[tuple[str, str], Column] = {}
        try:
            for i, entry in enumerate(container.params["columns"]):
                self._numbers[str(entry["field"]), str(entry["type"])] = i
        except (KeyError, TypeError) as error:
            raise CorruptIndexError(f"the columns are malformed: {error}", container.path) from None
        if not {kind for _, kind in self._numbers} <= _KEY_DTYPES.keys():
            raise CorruptIndexError("a column has an unknown type", container.path)

    def fields(self) -> Mapping[str, set[str]]:
        """Return the fields and the types that each has."""
        found: dict[str, set[str]] = {}
        for field, kind in self._numbers:
            found.setdefault(field, set()).add(kind)
        return found

    def column(self, field: str, kind: str) -> Column | None:
        """Return a column, or None when no document has such a value."""
        name = (field, kind)
        if name not in self._opened:
            if name not in self._numbers:
                return None
            number = self._numbers[name]
            self._opened[name] = Column(self._container, number, kind, self._n_docs)
        return self._opened[name]

    def check(self) -> None:
        """Check all columns. Raises CorruptIndexError."""
        for field, kind in self._numbers:
            column = self.column(field, kind)
            assert column is not None
            column.check()
