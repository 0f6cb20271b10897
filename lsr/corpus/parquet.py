"""Documents of a Parquet file, one a row."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lsr.corpus.base import FileCorpus, ReadRules, Row
from lsr.corpus.fields import FieldError, FieldNames, document_from_fields
from lsr.corpus.jsonl import loads
from lsr.corpus.lines import unreadable
from lsr.errors import CorpusError, first_line
from lsr.records import Document

_BATCH_ROWS = 512
_EPOCH = datetime.datetime(1970, 1, 1)


class ParquetCorpus(FileCorpus):
    """Documents of a Parquet file, read a row group at a time; lines in errors are rows, from 1.

    Columns that are neither id, text nor title become metadata: nulls and NaN (which pandas writes
    for "missing") become null, dates and times ISO 8601 strings. A string column ``metadata`` that
    holds a JSON object is spread. Of a file of vectors, the vectors are passed over.
    """

    kind = "parquet"

    def __init__(self, path: Path, names: FieldNames, rules: ReadRules) -> None:
        super().__init__(path, names, rules)
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
        return self._n_rows

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except pa.ArrowException as error:
            problem = f"no readable Parquet file ({first_line(error)})"
            raise CorpusError(problem, self.path) from error
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
                    f"damaged after row {number} ({first_line(error)}); "
                    "fetch or make the file again",
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


def _records(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | str]:
    exact = pa.schema([(field.name, _exact_type(field.type)) for field in batch.schema])
    types = [(name, batch.schema.field(name).type) for name in _unlike(batch.schema, exact)]
    try:
        batch = batch.cast(exact)
        records = batch.to_pylist()
    except UnicodeDecodeError:
        for at in range(batch.num_rows):
            try:
                records = batch.slice(at, 1).to_pylist()
            except UnicodeDecodeError as error:
                yield f"a string is not valid UTF-8 ({error.reason})"
            else:
                yield _written(records[0], types)
    else:
        yield from (_written(record, types) for record in records)


def _unlike(schema: pa.Schema, other: pa.Schema) -> list[str]:
    return [field.name for field in schema if field.type != other.field(field.name).type]


def _exact_type(type_: pa.DataType) -> pa.DataType:
    """Return the type with times in nanoseconds as integers: Python's own end at microseconds."""
    if (pa.types.is_timestamp(type_) or pa.types.is_time64(type_)) and type_.unit == "ns":
        return pa.int64()
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.list_(_exact_type(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([(field.name, _exact_type(field.type)) for field in type_.fields])
    return type_


def _written(record: dict[str, Any], types: list[tuple[str, pa.DataType]]) -> dict[str, Any]:
    for name, type_ in types:
        record[name] = _nanoseconds(record[name], type_)
    return record


def _nanoseconds(value: Any, type_: pa.DataType) -> Any:
    """Write integers that stand for times in nanoseconds in ISO 8601, wherever they are."""
    if value is None:
        return None
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return [_nanoseconds(item, type_.value_type) for item in value]
    if pa.types.is_struct(type_):
        return {f.name: _nanoseconds(value[f.name], f.type) for f in type_.fields}
    if not (pa.types.is_timestamp(type_) or pa.types.is_time64(type_)):
        return value
    microseconds, rest = divmod(value, 1000)
    moment = _EPOCH + datetime.timedelta(microseconds=microseconds)
    digits = f".{moment.microsecond:06}{rest:03}" if rest else ""
    zone = "+00:00" if pa.types.is_timestamp(type_) and type_.tz is not None else ""
    shown = moment if pa.types.is_timestamp(type_) else moment.time()
    return (shown.replace(microsecond=0).isoformat() + digits if rest else shown.isoformat()) + zone


def _json_value(name: str, value: Any) -> Any:
    if name == "metadata" and isinstance(value, str):
        try:
            return loads(value)
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
