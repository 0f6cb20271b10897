"""Tab- and comma-separated files, with or without a header line.

TSV: every tab separates, quotes are text, a line is a record. CSV follows RFC 4180: quotes may
enclose commas, doubled quotes and line breaks (which arrive as a plain line feed). A first line
with a known id name and a known text name (``id``, ``text``, …, in any case) is a header; one with
only one of them is refused. Without a header, two columns are id and text, three are id, title and
text; other layouts need column numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lsr.corpus.base import FileCorpus, ReadRules, Row
from lsr.corpus.fields import FieldError, FieldNames, document_from_fields
from lsr.corpus.lines import MAX_LINE_BYTES, decode, encoding_problem, read_lines
from lsr.errors import CorpusError
from lsr.records import Document

_POSITIONAL = {2: ("id", "text"), 3: ("id", "title", "text")}


class Record(NamedTuple):
    """Cells of a record and the line where it starts, or what is wrong with it."""

    line: int
    cells: list[str]
    problem: str | None = None


class Layout(NamedTuple):
    """Names of the columns, and whether the first line holds them."""

    columns: tuple[str, ...]
    names: FieldNames
    has_header: bool


class DelimitedCorpus(FileCorpus):
    """Documents of a TSV or CSV file, plain or gzip."""

    def __init__(self, path: Path, kind: str, names: FieldNames, rules: ReadRules) -> None:
        super().__init__(path, names, rules)
        self.kind = kind

    def _rows(self) -> Iterator[Row]:
        layout: Layout | None = None
        for record in read_tsv(self.path) if self.kind == "tsv" else read_csv(self.path):
            if layout is None:
                layout = self._layout(record)
                if layout.has_header:
                    continue
            yield Row(self.path, record.line, _document(record, layout))

    def _layout(self, first: Record) -> Layout:
        # The first line decides what the columns mean: nothing can be read when it is broken.
        try:
            if first.problem is not None:
                raise FieldError(first.problem)
            self._require_separator(first.cells)
            return find_layout(first.cells, self.names)
        except FieldError as error:
            raise CorpusError(str(error), self.path, first.line) from error

    def _require_separator(self, cells: list[str]) -> None:
        wanted = {"csv": "a comma", "tsv": "a tab"}[self.kind]
        found = next((mark for mark in (";", "|", "\t", ",") if mark in cells[0]), None)
        if len(cells) == 1 and found is not None:
            raise FieldError(
                f"one column, {cells[0]!r}; the separator of a {self.kind} file is {wanted}, "
                f"not {found!r}; convert the file"
            )


def find_layout(cells: list[str], names: FieldNames) -> Layout:
    """Return the columns by the first line, or raise FieldError that lists them."""
    if names.id[0].isdigit() or names.text[0].isdigit():
        return Layout(tuple(str(number + 1) for number in range(len(cells))), names, False)
    wanted = {name.lower(): name for name in (*names.id, *names.text, *names.title)}
    columns = tuple(wanted.get(cell.strip().lower(), cell.strip()) for cell in cells)
    known = FieldNames()
    try:
        names.find(columns)
    except FieldError:
        custom = len(names.id) == 1 or len(names.text) == 1
        if custom or len(cells) not in _POSITIONAL or (len(cells) == 3 and not names.title):
            raise
        if not wanted.keys().isdisjoint(cell.strip().lower() for cell in cells):
            raise  # a header, with a name that is not known: not a document
        return Layout(_POSITIONAL[len(cells)], known, False)
    if len(set(columns)) < len(columns):
        raise FieldError(f"the header names a column twice: {', '.join(columns)}")
    return Layout(columns, names, True)


def read_tsv(path: Path) -> Iterator[Record]:
    for line in read_lines(path):
        if line.problem is not None:
            yield Record(line.number, [], line.problem)
            continue
        try:
            yield Record(line.number, decode(line.data).split("\t"))
        except UnicodeDecodeError as error:
            yield Record(line.number, [], encoding_problem(error))


def read_csv(path: Path) -> Iterator[Record]:
    """Yield the records of a CSV file; a record may span lines."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    lines = _CsvLines(path)
    reader = csv.reader(lines, strict=True)
    while True:
        start = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except CorpusError as error:
            if lines.broken:
                raise
            yield Record(lines.number, [], str(error))
        except csv.Error as error:
            where = f" (the record starts on line {start})" if lines.number > start else ""
            yield Record(lines.number, [], f"no valid CSV: {error}{where}")
        else:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield Record(start, cells)


class _CsvLines:
    """Decoded lines with their endings; after an error for one line the next can be read."""

    def __init__(self, path: Path) -> None:
        self._lines = read_lines(path, blank=True)
        self.number = 0
        self.broken = False

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except CorpusError:
            self.broken = True
            raise
        self.number = line.number
        if line.problem is not None:
            raise CorpusError(line.problem)
        try:
            return decode(line.data) + "\n"
        except UnicodeDecodeError as error:
            raise CorpusError(encoding_problem(error)) from error


def _document(record: Record, layout: Layout) -> Document | str:
    if record.problem is not None:
        return record.problem
    if len(record.cells) != len(layout.columns):
        return (
            f"expected {len(layout.columns)} columns ({', '.join(layout.columns)}), "
            f"got {len(record.cells)}"
        )
    try:
        return document_from_fields(
            dict(zip(layout.columns, record.cells, strict=True)), layout.names
        )
    except FieldError as error:
        return str(error)
