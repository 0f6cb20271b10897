"""Sources of documents: records in memory, data frames, vectors."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.base import Corpus, ReadRules, Row
from lsr.corpus.fields import DOCUMENT_FIELDS, FieldNames, document_or_problem
from lsr.errors import DataError, UsageError
from lsr.records import Document, DocumentBatch
from lsr.sparse import SparseBatch
from lsr_index.build.batches import batches_of, dense_matrix_problem

_ROWS_AT_A_TIME = 1024


class Records(Corpus):
    """Documents of an iterable or data frame as a corpus.

    Rows of a frame are records; without an id column their labels are the ids. `names` are the
    field names of id, text and title.
    """

    kind = "records"
    unit = "document"

    def __init__(self, source: Any, names: FieldNames = DOCUMENT_FIELDS) -> None:
        super().__init__(type(source).__name__, ReadRules())
        self._source = source
        self._names = names
        self._id = secrets.token_hex(16)  # what is in memory cannot be recognised later

    def count_hint(self) -> int | None:
        """Return the number of records, if known."""
        return len(self._source) if hasattr(self._source, "__len__") else None

    def _rows(self) -> Iterator[Row]:
        for number, record in enumerate(_records(self._source, self._names), 1):
            yield Row(self.name, number, _document(record, self._names))

    def _identity(self) -> list[Any]:
        return [self._id]


def documents_of(source: Any, names: FieldNames = DOCUMENT_FIELDS) -> Iterable[Document]:
    """Return the documents of one record, or of many; see `Records`."""
    one = isinstance(source, Document | Mapping)
    return Records([source] if one else source, names)


class Vectors(NamedTuple):
    """Sparse vectors of documents with their ids, in batches that can be read again.

    Attributes
    ----------
    vectors : SparseBatch, (n,)
    ids : list of str, (n,)
    dense : (n, dimension) float32 or None
    """

    vectors: SparseBatch
    ids: list[str]
    dense: NDArray[np.float32] | None

    def batches(self) -> Iterator[DocumentBatch]:
        """Yield the documents, without texts."""
        return batches_of(self.vectors, self.ids, self.dense)


def is_vectors(source: Any) -> bool:
    """Return whether a source is sparse vectors; raise UsageError for a dense matrix."""
    problem = dense_matrix_problem(source)
    if problem is not None:
        raise UsageError(problem)
    return isinstance(source, SparseBatch) or hasattr(source, "tocsr")


def vectors_of(source: Any, ids: Iterable[Any] | None, dense: Any = None) -> Vectors:
    """Return vectors with ids, by default ``"0"``, ``"1"``, …

    Raises
    ------
    UsageError
        The number of ids or dense vectors is not that of the rows.
    DataError
        An id is neither a string nor an integer, or not unique.
    """
    vectors = source if isinstance(source, SparseBatch) else SparseBatch.from_scipy(source)
    n = vectors.n_rows
    named = list(range(n)) if ids is None else _listed_ids(ids)
    if len(named) != n:
        raise UsageError(f"ids has {len(named)} entries for {n} vectors; expected one for each")
    doc_ids = [_doc_id(each) for each in named]
    if len(set(doc_ids)) < n:
        seen: set[str] = set()
        twice = next(each for each in doc_ids if each in seen or seen.add(each))  # type: ignore[func-returns-value]
        raise DataError(f"the id {twice!r} stands twice in ids; expected each id only once")
    matrix = None if dense is None else _dense_matrix(dense, n)
    return Vectors(vectors, doc_ids, matrix)


def _listed_ids(ids: Any) -> list[Any]:
    if isinstance(ids, str):
        raise UsageError(f"ids must be a list of strings, got the string {ids!r}")
    return list(ids.tolist() if hasattr(ids, "tolist") else ids)


def _doc_id(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"an id must be a string or an integer, got {value!r}")


def _dense_matrix(dense: Any, n: int) -> NDArray[np.float32]:
    matrix = np.asarray(dense)
    if matrix.ndim != 2 or len(matrix) != n or matrix.dtype.kind not in "fiu":
        raise UsageError(
            f"dense must be a matrix of numbers with {n} rows, one for each document, got "
            f"{matrix.dtype} of shape {matrix.shape}"
        )
    return matrix.astype(np.float32, copy=False)


def _records(source: Any, names: FieldNames) -> Iterator[Any]:
    """Yield the records of a source; rows of frames as mappings."""
    if isinstance(source, str | bytes | Mapping) or not hasattr(source, "__iter__"):
        raise UsageError(
            f"cannot read documents of {type(source).__name__}; expected a path, a list of "
            "mappings such as {'id': '1', 'text': '…'}, Documents, a data frame, a data set, or "
            "sparse vectors (SciPy or SparseBatch)"
        )
    if hasattr(source, "iter_rows"):  # polars
        yield from source.iter_rows(named=True)
    elif hasattr(source, "iloc"):  # pandas
        if not set(names.id) & set(map(str, source.columns)):
            source = source.assign(**{names.id[-1]: source.index})
        for start in range(0, len(source), _ROWS_AT_A_TIME):
            yield from source.iloc[start : start + _ROWS_AT_A_TIME].to_dict("records")
    else:
        yield from source


def _document(record: Any, names: FieldNames) -> Document | str:
    """Return a record as a document, or an error message."""
    if isinstance(record, Document):
        if not all(isinstance(part, str) for part in record[:3]):
            return f"id, text and title of a Document are strings, got {tuple(record[:3])!r}"
        return record
    if not isinstance(record, Mapping):
        return (
            f"expected a Document or a mapping such as {{'id': '1', 'text': '…'}}, "
            f"got {type(record).__name__}"
        )
    fields = {str(name): _plain(value) for name, value in record.items()}
    fields = {name: value for name, value in fields.items() if value is not None}
    for what in ("id", "text"):
        wanted: Sequence[str] = getattr(names, what)
        if not any(name in fields for name in wanted):
            found = ", ".join(list(fields)[:20]) or "none"
            return (
                f"no {what}: expected a field {' or '.join(wanted)}, found {found}; "
                f"say which it is with {what}_field="
            )
    return document_or_problem(fields, names)


def _plain(value: Any) -> Any:
    """Return a value of a frame or data set as a JSON value; None for a missing one."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if value != value else value
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return value
