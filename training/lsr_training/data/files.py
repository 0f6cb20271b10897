"""Records of training files (JSON lines, TSV, Parquet) with their positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from lsr.corpus.lines import decode, read_lines
from lsr.errors import CorpusError

_COLUMNS = {2: ("query", "positive"), 3: ("query", "positive", "negative")}


class Place(NamedTuple):
    """Record with its position in the file; instead of a malformed record, the error message."""

    line: int
    record: dict[str, Any] | str


def read_records(path: Path) -> Iterator[Place]:
    """Yield the records of a file.

    Parameters
    ----------
    path : Path
        ``.jsonl``, ``.tsv`` (two columns: query, positive; three: and negative), both also with
        ``.gz``; or ``.parquet``.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return _parsed(path, _json)
    if name.endswith(".tsv"):
        return _parsed(path, _cells)
    if name.endswith(".parquet"):
        return _parquet(path)
    raise CorpusError("unknown kind of file; expected .jsonl, .tsv (.gz) or .parquet", path)


def _parsed(path: Path, parse: Callable[[bytes], dict[str, Any] | str]) -> Iterator[Place]:
    for line in read_lines(path):
        yield Place(line.number, parse(line.data) if line.problem is None else line.problem)


def _json(data: bytes) -> dict[str, Any] | str:
    try:
        record = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return f"no valid JSON: {error.msg} (column {error.colno})"
    if not isinstance(record, dict):
        return 'expected a JSON object such as {"query": "…", "positive": "…"}'
    return record


def _cells(data: bytes) -> dict[str, Any] | str:
    try:
        cells = decode(data).split("\t")
    except CorpusError as error:
        return str(error)
    if len(cells) not in _COLUMNS:
        return f"{len(cells)} columns; expected query, positive and perhaps negative"
    return dict(zip(_COLUMNS[len(cells)], cells, strict=True))


def _parquet(path: Path) -> Iterator[Place]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            row = 0
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    row += 1
                    yield Place(row, {k: v for k, v in record.items() if v is not None})
    except (OSError, pa.ArrowException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CorpusError(f"cannot be read as Parquet ({reason})", path) from error
