"""JSON lines, one object a line; a BEIR folder holds a ``corpus.jsonl``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from lsr.corpus.base import FileCorpus, Row
from lsr.corpus.fields import document_or_problem
from lsr.corpus.lines import Line, decode, read_lines
from lsr.errors import CorpusError
from lsr.records import Document

_NOT_A_NUMBER = re.compile(rb"\b(NaN|Infinity)\b")


class JsonlCorpus(FileCorpus):
    """Documents of a JSON lines file, plain or gzip.

    NaN, infinities, lone surrogates, raw NUL characters (not escaped ones, ``\\u0000``) and text
    after the object are errors. Of a field given twice in one object, the last counts.
    """

    kind = "jsonl"

    def _rows(self) -> Iterator[Row]:
        for line in read_lines(self.path):
            yield Row(self.path, line.number, self._item(line))

    def _item(self, line: Line) -> Document | str:
        if line.problem is not None:
            return line.problem
        try:
            record = loads(line.data)
        except orjson.JSONDecodeError as error:
            return _json_problem(line.data, error)
        if not isinstance(record, dict):
            return 'expected a JSON object such as {"id": "1", "text": "…"}'
        return document_or_problem(record, self.names)


def loads(data: bytes | str) -> Any:
    """Parse JSON with exact integers beyond 64 bits too; raise orjson.JSONDecodeError."""
    value = orjson.loads(data)
    return json.loads(data) if _may_be_rounded(value) else value


def _may_be_rounded(value: Any) -> bool:
    if isinstance(value, float):
        return abs(value) >= 1 << 63
    if isinstance(value, dict):
        return any(map(_may_be_rounded, value.values()))
    return isinstance(value, list) and any(map(_may_be_rounded, value))


def beir_file(folder: Path, stem: str = "corpus") -> Path | None:
    """Return ``corpus.jsonl`` or ``corpus.jsonl.gz`` of a folder, or None."""
    candidates = (folder / f"{stem}.jsonl", folder / f"{stem}.jsonl.gz")
    return next((path for path in candidates if path.is_file()), None)


def _json_problem(data: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        decode(data)
    except CorpusError as unicode_error:
        return str(unicode_error)
    if "surrogate" in error.msg:
        return f"a string holds a lone surrogate (column {error.colno}); expected valid Unicode"
    if _NOT_A_NUMBER.search(data):
        return f"NaN and Infinity are no JSON (column {error.colno}); expected finite numbers"
    return f"no valid JSON: {error.msg} (column {error.colno})"
