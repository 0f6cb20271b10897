"""Metadata fields of a segment as columns that filters look up.

Every top-level field is filterable without being declared. A value belongs to the column of its own
type, see `lsr_index.segment.metadata_values`; each element of a list counts. A column holds its
distinct keys, ascending, and for each key the documents that have it. Integers that no double
equals, and dates finer than a microsecond, are in columns of their own, of pairs of i64.

Segments written before `COLUMN_RULES` 2 rounded large integers to doubles and knew fewer forms of
dates. A condition that this could change is answered from their stored documents instead.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, DataError
from lsr_index.segment.doc_store import DocumentReader
from lsr_index.segment.metadata_values import Key, ValueType, typed_keys
from lsr_index.storage.container import Container, ContainerWriter

ColumnType = Literal["boolean", "date", "date_ns", "integer", "keyword", "number"]

ColumnName = tuple[str, str]
"""Field and type."""

COLUMN_RULES = 2
"""Version of what the columns hold, in the params of a segment; absent: 1."""

MAX_COLUMNS = 4096


class _Storage(NamedTuple):
    """Dtype of the keys of a column, and the type of their values.

    With a `base`, keys are pairs (q, r) of a value q * base + r, 0 <= r < base.
    """

    values: ValueType
    dtype: str
    base: int = 0

    @property
    def in_pairs(self) -> bool:
        return self.base > 0 or self.values == "keyword"


_STORAGE: dict[str, _Storage] = {
    "boolean": _Storage("boolean", "|u1"),
    "date": _Storage("date", "<i8"),
    "date_ns": _Storage("date", "<i8", 1000),
    "integer": _Storage("number", "<i8", 1 << 32),
    "keyword": _Storage("keyword", "<u8"),
    "number": _Storage("number", "<f8"),
}
_EXACT_DOUBLES = 1 << 53


def column_names(stored: bytes) -> set[ColumnName]:
    """Return the columns that the stored metadata of a document has values in."""
    if not stored:
        return set()
    return {
        (field, _stored(kind, key)[0])
        for field, value in json.loads(stored).items()
        for kind, key in typed_keys(value)
    }


def field_types(columns: Iterable[ColumnName]) -> dict[str, set[str]]:
    """Return the fields of columns, and the types of the values of each."""
    found: dict[str, set[str]] = {}
    for field, kind in columns:
        found.setdefault(field, set()).add(_STORAGE[kind].values)
    return found


def require_columns(names: Collection[ColumnName], added: ColumnName) -> None:
    """Raise DataError when an index has too many columns for one more.

    Adding documents checks this for the whole index; merging accepts what was accepted before.
    """
    if len(names) >= MAX_COLUMNS:
        raise DataError(
            f"metadata field {added[0]!r}: an index has at most {MAX_COLUMNS} filterable fields; "
            "put what is not filtered by into one nested object"
        )


class ColumnWriter:
    """Collects metadata, 12 to 20 bytes per value; if `limited`, in `MAX_COLUMNS` columns."""

    def __init__(self, limited: bool = True) -> None:
        self._limited = limited
        self._keys: dict[tuple[str, ColumnType], Any] = {}
        self._documents: dict[tuple[str, ColumnType], array[int]] = {}
        self._n_docs = 0

    def add(self, stored: bytes) -> None:
        """Add the next document's metadata, as stored: JSON, or nothing."""
        if stored:
            for field, value in json.loads(stored).items():
                for kind, key in typed_keys(value):
                    self._append(field, kind, key)
        self._n_docs += 1

    def _append(self, field: str, kind: ValueType, key: Key) -> None:
        stored_as, numbers = _stored(kind, key)
        column = (field, stored_as)
        if column not in self._keys:
            if self._limited:
                require_columns(self._keys, column)
            codes = {"boolean": "B", "number": "d"}
            empty = bytearray() if kind == "keyword" else array(codes.get(stored_as, "q"))
            self._keys[column], self._documents[column] = empty, array("i")
        self._keys[column].extend(numbers)
        self._documents[column].append(self._n_docs)

    def write(self, container: ContainerWriter) -> list[dict[str, str]]:
        """Write all columns; return the field and type of each, for the reader."""
        names = sorted(self._keys)
        for i, column in enumerate(names):
            storage = _STORAGE[column[1]]
            keys = np.frombuffer(self._keys[column], storage.dtype)
            documents = np.frombuffer(self._documents[column], np.int32)
            if storage.in_pairs:
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


def _stored(kind: ValueType, key: Key) -> tuple[ColumnType, Iterable[Any]]:
    """Return the column that holds a key exactly, and the numbers written for the key."""
    if isinstance(key, bytes):
        return "keyword", key
    if kind == "date":
        microseconds, rest = divmod(int(key), 1000)
        return ("date_ns", (microseconds, rest)) if rest else ("date", (microseconds,))
    if kind == "number" and float(key) != key:
        return "integer", divmod(int(key), _STORAGE["integer"].base)
    return ("number", (key + 0.0,)) if kind == "number" else ("boolean", (int(key),))


class Column:
    """One field of one type, mapped."""

    def __init__(self, container: Container, number: int, kind: str, n_docs: int) -> None:
        self._container = container
        self._n_docs = n_docs
        self._name = name = f"columns/{number}"
        self.kind = kind
        storage = _STORAGE[kind]
        self._base = storage.base
        self._starts: NDArray[np.int64] = container.typed(f"{name}/starts", "<i8", (None,))
        shape = (len(self._starts) - 1, 2) if storage.in_pairs else (len(self._starts) - 1,)
        self._keys: NDArray[Any] = container.typed(
            f"{name}/keys", storage.dtype, shape, f"{name}/starts"
        )
        self._documents: NDArray[np.int32] = container.typed(f"{name}/documents", "<i4", (None,))

    def equal(self, key: Key) -> NDArray[np.int32]:
        """Return the documents that have a key."""
        if isinstance(key, bytes):
            first, last = 0, len(self._keys)
            for half, wanted in enumerate(np.frombuffer(key, "<u8")):
                halves = self._keys[first:last, half]
                last = first + int(np.searchsorted(halves, wanted, side="right"))
                first += int(np.searchsorted(halves, wanted))
            return self._slice(first, last)
        return self.between(key, key, False, False)

    def between(
        self, low: float | None, high: float | None, open_low: bool, open_high: bool
    ) -> NDArray[np.int32]:
        """Return the documents that have a key from `low` to `high`, without the open ends."""
        n = len(self._keys)
        first_of, last_of = (
            bisect_right if open_low else bisect_left,
            bisect_left if open_high else bisect_right,
        )
        # Python compares integers with doubles exactly; NumPy rounds.
        first = 0 if low is None else first_of(self._keys, low, key=self._value)
        last = n if high is None else last_of(self._keys, high, key=self._value)
        return self._slice(first, max(first, last))

    def _value(self, key: Any) -> float:
        if self._base:
            return int(key[0]) * self._base + int(key[1])
        return int(key) * 1000 if self.kind == "date" else key.item()

    def check(self) -> None:
        """Check order and ranges. Raises CorruptIndexError."""
        keys = self._keys
        if keys.ndim == 2:
            rising = (keys[1:, 0] > keys[:-1, 0]) | (
                (keys[1:, 0] == keys[:-1, 0]) & (keys[1:, 1] > keys[:-1, 1])
            )
        else:
            rising = keys[1:] > keys[:-1]
        if not rising.all():
            raise self._corrupt("keys", "they are not in order")
        if self._base and ((keys[:, 1] < 0) | (keys[:, 1] >= self._base)).any():
            raise self._corrupt("keys", "one is out of range")
        ends = (self._starts[0], self._starts[-1])
        if ends != (0, len(self._documents)) or (np.diff(self._starts) < 1).any():
            raise self._corrupt("starts", f"they do not cover {self._name}/documents")
        self._slice(0, len(self._starts) - 1)

    def _slice(self, first: int, last: int) -> NDArray[np.int32]:
        start, end = int(self._starts[first]), int(self._starts[last])
        found = self._documents[start:end]
        if not 0 <= start <= end <= len(self._documents):
            raise self._corrupt("starts", f"they do not cover {self._name}/documents")
        if len(found) and (int(found.min()) < 0 or int(found.max()) >= self._n_docs):
            raise self._corrupt("documents", "one is not in the segment")
        return found

    def _corrupt(self, name: str, what: str) -> CorruptIndexError:
        return self._container.corrupt(f"{self._name}/{name}", what)


class Columns:
    """All columns of one segment; `documents` answers what columns of older rules cannot."""

    def __init__(self, container: Container, n_docs: int, documents: DocumentReader) -> None:
        self._container = container
        self._n_docs = n_docs
        self._stored = documents
        self._numbers: dict[ColumnName, int] = {}
        self._opened: dict[tuple[str, str], Column] = {}
        try:
            self._exact = int(container.params.get("column_rules", 1)) >= COLUMN_RULES
            for i, entry in enumerate(container.params["columns"]):
                self._numbers[str(entry["field"]), str(entry["type"])] = i
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptIndexError(f"the columns are malformed: {error}", container.path) from None
        if not {kind for _, kind in self._numbers} <= _STORAGE.keys():
            raise CorruptIndexError("a column has an unknown type", container.path)

    @property
    def names(self) -> Collection[ColumnName]:
        """Field and type of each column."""
        return self._numbers.keys()

    def fields(self) -> Mapping[str, set[str]]:
        """Return the fields and the types that each has (in older segments: may have)."""
        maybe = [(f, "date") for f, kind in self._numbers if kind == "keyword" and not self._exact]
        return field_types([*self._numbers, *maybe])

    def columns(self, field: str, kind: ValueType | None = None) -> list[Column]:
        """Return the columns that hold the values of a field, of one type or of all."""
        return [
            self._column(field, stored_as)
            for stored_as, storage in _STORAGE.items()
            if kind in (None, storage.values) and (field, stored_as) in self._numbers
        ]

    def rounded(self, field: str, keys: Iterable[tuple[ValueType, Key | None]]) -> bool:
        """Return whether the columns may be wrong about these keys, so that `scan` must answer."""
        return not self._exact and any(
            (field, "keyword") in self._numbers
            if kind == "date"
            else kind == "number"
            and (field, kind) in self._numbers
            and isinstance(key, (int, float))
            and abs(key) >= _EXACT_DOUBLES
            for kind, key in keys
        )

    def scan(self, matches: Callable[[Mapping[str, Any]], bool]) -> NDArray[np.bool_]:
        """Apply a condition to the stored metadata of every document; (n_docs,) bool."""
        metadata = (json.loads(parts[2] or b"{}") for parts in self._stored.all_parts())
        return np.fromiter(map(matches, metadata), np.bool_, self._n_docs)

    def _column(self, field: str, kind: str) -> Column:
        name = (field, kind)
        if name not in self._opened:
            self._opened[name] = Column(self._container, self._numbers[name], kind, self._n_docs)
        return self._opened[name]

    def check(self) -> None:
        """Check all columns. Raises CorruptIndexError."""
        for name in self._numbers:
            self._column(*name).check()
