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
from lsr.corpus.fields import FieldError, FieldNames, document_or_problem
from lsr.corpus.jsonl import loads
from lsr.corpus.lines import unreadable
from lsr.errors import CorpusError, first_line
from lsr.records import Document

_BATCH_ROWS = 512
_EPOCH = datetime.datetime(1970, 1, 1)


class ParquetCorpus(FileCorpus):
    """Documents of a Parquet file, one a row; lines in errors are rows, from 1.

    Columns other than id, text and title become metadata: null and NaN as null, dates and times as
    ISO 8601 strings, members of a JSON object in a string column ``metadata`` by their names. The
    columns of sparse vectors (``indices``, ``values``) are ignored.
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
        if {"indices", "values"} <= set(columns):
            columns = [name for name in columns if name not in ("indices", "values")]
        self._columns = columns

    def count_hint(self) -> int | None:
        return self._n_rows

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except pa.ArrowException as error:
            problem = f"no readable Parquet file ({first_line(error)})"
            raise CorpusError(problem, self.path) from error
        except OSError as error:
            raise unreadable(error, self.path) from error

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
        except FieldError as error:
            return str(error)
        return document_or_problem(record, self.names)


def _records(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | str]:
    exact = pa.schema([(field.name, _exact_type(field.type)) for field in batch.schema])
    types = {old.name: old.type for old in batch.schema if old.type != exact.field(old.name).type}
    try:
        records = batch.cast(exact).to_pylist()
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            yield f"a string is not valid UTF-8 ({error.reason})"
        else:
            for at in range(batch.num_rows):
                yield from _records(batch.slice(at, 1))
    else:
        yield from (_with_iso_times(record, types) for record in records)


def _exact_type(type_: pa.DataType) -> pa.DataType:
    """Return the type with nanosecond times as integers: Python's times have microseconds."""
    if (pa.types.is_timestamp(type_) or pa.types.is_time64(type_)) and type_.unit == "ns":
        return pa.int64()
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.list_(_exact_type(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([(field.name, _exact_type(field.type)) for field in type_.fields])
    return type_


def _with_iso_times(record: dict[str, Any], types: dict[str, pa.DataType]) -> dict[str, Any]:
    return record | {name: _iso_times(record[name], type_) for name, type_ in types.items()}


def _iso_times(value: Any, type_: pa.DataType) -> Any:
    """Return a value with integer nanosecond times, at any depth, in ISO 8601."""
    if value is None:
        return None
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return [_iso_times(item, type_.value_type) for item in value]
    if pa.types.is_struct(type_):
        return {f.name: _iso_times(value[f.name], f.type) for f in type_.fields}
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
    if value is None or value != value:
        return None
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return [_json_value("", item) for item in value]
    if isinstance(value, dict):
        return {key: _json_value("", item) for key, item in value.items()}
    raise FieldError(
        f'column "{name}": {type(value).__name__} has no JSON form; leave it out of the file'
    )
