"""Documents of a Parquet file, one a row."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lsr.corpus.base import Corpus, ReadRules, Row, file_identity
from lsr.corpus.fields import FieldError, FieldNames, document_from_fields
from lsr.corpus.lines import unreadable
from lsr.errors import CorpusError
from lsr.records import Document

_BATCH_ROWS = 512


class ParquetCorpus(Corpus):
    """Documents of a Parquet file, read a row group at a time; lines in errors are rows, from 1.

    Columns that are neither id, text nor title become metadata: nulls and NaN (which pandas writes
    for "missing") become null, dates and times ISO 8601 strings. A string column ``metadata`` that
    holds a JSON object is spread. Of a file of vectors, the vectors are passed over.
    """

    kind = "parquet"

    def __init__(self, path: Path, names: FieldNames, rules: ReadRules) -> None:
        super().__init__(path.name, rules)
        self.path = path
        self.names = names
        with self._open() as file:
            self._n_rows = file.metadata.num_rows
            columns: list[str] = file.schema_arrow.names
        try:
            names.find(columns)
        except FieldError as error:
            raise CorpusError(str(error), path) from error
        vectors = {"indices", "values"} if {"indices", "values"} <= set(columns) else set()
        self._columns = [name for name in columns if name not in vectors]

    def count_hint(self) -> int | None:
        """Return the number of rows."""
        return self._n_rows

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except pa.ArrowException as error:
            raise CorpusError(f"no readable Parquet file ({_short(error)})", self.path) from error
        except OSError as error:
            raise unreadable(self.path, error) from error

    def _rows(self) -> Iterator[Row]:
        number = 0
        with self._open() as file:
            try:
                for batch in file.iter_batches(_BATCH_ROWS, columns=self._columns):
                    for item in _records(batch):
                        number += 1
                        yield Row(self.path, number, self._item(item))
            except (pa.ArrowException, OSError) as error:
                raise CorpusError(
                    f"damaged after row {number} ({_short(error)}); fetch or make the file again",
                    self.path,
                ) from error

    def _item(self, record: dict[str, Any] | str) -> Document | str:
        if isinstance(record, str):
            return record
        try:
            for name in record.keys() - {*self.names.id, *self.names.text, *self.names.title}:
                record[name] = _json_value(name, record[name])
            return document_from_fields(record, self.names)
        except FieldError as error:
            return str(error)

    def _identity(self) -> list[Any]:
        names = self.names
        return [file_identity(self.path), names.id, names.text, names.title]


def _records(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | str]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            try:
                yield from batch.slice(at, 1).to_pylist()
            except UnicodeDecodeError as error:
                yield f"a string is not valid UTF-8 ({error.reason})"


def _json_value(name: str, value: Any) -> Any:
    if name == "metadata" and isinstance(value, str):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return [_json_value("", item) for item in value]
    if isinstance(value, dict):
        return {key: _json_value("", item) for key, item in value.items()}
    if value is None or isinstance(value, str | bool | int):
        return value
    raise FieldError(
        f'column "{name}": {type(value).__name__} has no JSON form; leave it out of the file'
    )


def _short(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
