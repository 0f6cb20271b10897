"""Sparse vectors with their documents in Parquet.

Columns: ``id`` string, ``indices`` list<uint32>, ``values`` list<float32>, ``title`` string,
``text`` string, ``metadata`` string (a JSON object). The last three may be absent when reading.
What is written depends on the documents alone, not on how they were cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lsr.corpus.duplicates import SeenIds
from lsr.corpus.fields import NO_METADATA
from lsr.errors import VectorError, first_line
from lsr.files import atomic_path
from lsr.records import Document, DocumentBatch, Metadata
from lsr.sparse import SparseBatch
from lsr.vectors.placed import Place, document_error, placed_batch

_TYPES = {
    "id": pa.string(),
    "indices": pa.list_(pa.uint32()),
    "values": pa.list_(pa.float32()),
    "title": pa.string(),
    "text": pa.string(),
    "metadata": pa.string(),
}
SCHEMA = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _TYPES.items()])
_ROW_GROUP_ROWS = 4096
_MAX_HELD_CHARS = 1 << 24


class ParquetVectors:
    """A Parquet file of vectors; each iteration reads it from the start, batch by batch."""

    def __init__(self, path: Path, batch_docs: int) -> None:
        self.path = path
        self._batch_docs = batch_docs
        with self._open() as file:
            self.n_docs: int = file.metadata.num_rows
            self._columns = _checked_columns(path, file.schema_arrow)

    def __len__(self) -> int:
        return self.n_docs

    def __iter__(self) -> Iterator[DocumentBatch]:
        """Read validated batches; raises VectorError with file and row, counted from 1."""
        seen, before = SeenIds(), 0
        with self._open() as file:
            try:
                for rows in file.iter_batches(self._batch_docs, columns=self._columns):
                    yield self._batch(rows, seen, before)
                    before += rows.num_rows
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise VectorError(
                    f"{self.path}: damaged after row {before} ({first_line(error)}); "
                    "fetch or make the file again"
                ) from error

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise VectorError(
                f"{self.path}: no readable Parquet file ({first_line(error)})"
            ) from error

    def _batch(self, rows: pa.RecordBatch, seen: SeenIds, before: int) -> DocumentBatch:
        def place(row: int) -> str:
            return f"{self.path}: row {before + row + 1}"

        id_lengths, term_ids = _lists(rows, "indices", place)
        weight_lengths, weights = _lists(rows, "values", place)
        differing = np.flatnonzero(id_lengths != weight_lengths)
        if len(differing):
            row = int(differing[0])
            raise VectorError(
                f"{place(row)}: {id_lengths[row]} indices for {weight_lengths[row]} values; "
                "expected as many"
            )
        vectors = placed_batch(id_lengths, term_ids, weights, place)
        metadata = [
            _metadata(text, row, place) for row, text in enumerate(_strings(rows, "metadata"))
        ]
        ids = [_id(doc_id, row, place) for row, doc_id in enumerate(rows.column("id").to_pylist())]
        titles, texts = _strings(rows, "title"), _strings(rows, "text")
        for row, fields in enumerate(zip(ids, texts, titles, metadata, strict=True)):
            problem = document_error(Document(*fields), seen, before + row + 1)
            if problem is not None:
                raise VectorError(f"{place(row)}: {problem}")
        return DocumentBatch(ids, vectors, texts, titles, metadata)


def read_parquet(path: str | Path, *, batch_docs: int = 1024) -> ParquetVectors:
    """Open a Parquet file of sparse vectors; an iteration yields `DocumentBatch` of `batch_docs`.

    Raises VectorError for a missing or damaged file or a missing column; while reading, at the
    first bad row.
    """
    return ParquetVectors(Path(path), batch_docs)


def write_parquet(path: str | Path, batches: Iterable[DocumentBatch]) -> int:
    """Write documents with their vectors, and return their number.

    On any error, such as StorageFullError, nothing is left behind.
    """
    n_docs = 0
    with (
        atomic_path(Path(path)) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for batch in rechunked(batches, _ROW_GROUP_ROWS):
            writer.write_table(to_table(batch), row_group_size=_ROW_GROUP_ROWS)
            n_docs += batch.n_docs
    return n_docs


def rechunked(batches: Iterable[DocumentBatch], n_docs: int) -> Iterator[DocumentBatch]:
    """Return the same documents in batches of `n_docs`, however they were cut; the last is smaller.

    Long documents make a batch smaller too, so that it stays in bounded memory.
    """
    held: list[DocumentBatch] = []
    n_held = n_chars = 0
    for batch in batches:
        start = 0
        for end, text in enumerate(batch.texts, 1):
            n_held += 1
            n_chars += len(text)
            if n_held == n_docs or n_chars >= _MAX_HELD_CHARS:
                yield _joined([*held, _part(batch, start, end)])
                held, n_held, n_chars, start = [], 0, 0, end
        if start < batch.n_docs:
            held.append(_part(batch, start, batch.n_docs))
    if held:
        yield _joined(held)


def _part(batch: DocumentBatch, start: int, end: int) -> DocumentBatch:
    return DocumentBatch(
        batch.ids[start:end],
        batch.vectors.rows(start, end),
        batch.texts[start:end],
        batch.titles[start:end],
        batch.metadata[start:end],
    )


def _joined(parts: list[DocumentBatch]) -> DocumentBatch:
    if len(parts) == 1:
        return parts[0]
    documents = [document for part in parts for document in part.documents()]
    return DocumentBatch.of(documents, SparseBatch.concatenate([part.vectors for part in parts]))


def to_table(batch: DocumentBatch) -> pa.Table:
    """Return a batch as an Arrow table of `SCHEMA`."""
    vectors = batch.vectors
    offsets: Any = pa.array(vectors.indptr.astype(np.int32))
    columns = [
        pa.array(batch.ids, pa.string()),
        pa.ListArray.from_arrays(offsets, pa.array(vectors.indices)),
        pa.ListArray.from_arrays(offsets, pa.array(vectors.values)),
        pa.array(batch.titles, pa.string()),
        pa.array(batch.texts, pa.string()),
        pa.array([orjson.dumps(dict(item)).decode() for item in batch.metadata], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _checked_columns(path: Path, schema: pa.Schema) -> list[str]:
    for name in ("id", "indices", "values"):
        if name not in schema.names:
            raise VectorError(
                f"{path}: no column {name!r}; expected id, indices and values, "
                f"found {', '.join(schema.names) or 'none'}"
            )
    present = [name for name in SCHEMA.names if name in schema.names]
    for name in present:
        found = schema.field(name).type
        if name == "indices":
            expected, fits = "list of integers", _is_list(found, pa.types.is_integer)
        elif name == "values":
            expected, fits = "list of floats", _is_list(found, pa.types.is_floating)
        else:
            expected, fits = "string", _is_string(found)
        if not fits:
            raise VectorError(f"{path}: column {name!r} is {found}; expected a {expected}")
    return present


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: Any, of: Callable[[pa.DataType], bool]) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind)) and of(kind.value_type)


def _lists(rows: pa.RecordBatch, name: str, place: Place) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the lengths of the lists of a column, and their values one after the other."""
    column: Any = rows.column(name)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise VectorError(f"{place(row)}: {name} is null; expected a list")
    lengths = column.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    flat = column.flatten()
    if flat.null_count:
        entry = int(np.argmax(flat.is_null().to_numpy(zero_copy_only=False)))
        row = int(np.searchsorted(np.cumsum(lengths), entry, side="right"))
        raise VectorError(f"{place(row)}: {name} holds a null; expected numbers")
    return lengths, flat.to_numpy(zero_copy_only=False)


def _id(doc_id: Any, row: int, place: Place) -> str:
    if not isinstance(doc_id, str):
        raise VectorError(f"{place(row)}: the id is null; expected a string")
    return doc_id


def _strings(rows: pa.RecordBatch, name: str) -> list[str]:
    if name not in rows.schema.names:
        return [""] * rows.num_rows
    return [text or "" for text in rows.column(name).to_pylist()]


def _metadata(text: str, row: int, place: Place) -> Metadata:
    if text in ("", "{}"):
        return NO_METADATA
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise VectorError(f"{place(row)}: metadata are no valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise VectorError(f"{place(row)}: metadata must be a JSON object")
    return value
