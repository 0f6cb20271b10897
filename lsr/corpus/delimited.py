"""Tab- and comma-separated files, with or without a header line.

In TSV every tab separates and quotes are text. CSV follows RFC 4180: quotes may enclose commas,
doubled quotes and line breaks (read as LF). A first line with a known id name and a known text
name (in any case) is a header; one with only one of them is an error. Without a header, two
columns are id and text, three are id, title and text; other layouts need column numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lsr.corpus.base import FileCorpus, ReadRules, Row
from lsr.corpus.fields import FieldError, FieldNames, document_or_problem
from lsr.corpus.lines import MAX_LINE_BYTES, Line, read_lines
from lsr.errors import CorpusError
from lsr.records import Document

_POSITIONAL = {2: ("id", "text"), 3: ("id", "title", "text")}


class Record(NamedTuple):
    """First line of a record, and its cells or the error message for it."""

    line: int
    cells: list[str] | str


class Layout(NamedTuple):
    """Names of the columns; `has_header` if the first line gives them."""

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
            yield Row(self.path, record.line, _item(record.cells, layout))

    def _layout(self, first: Record) -> Layout:
        # The first line decides what the columns mean: nothing can be read when it is broken.
        try:
            if isinstance(first.cells, str):
                raise FieldError(first.cells)
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


def _item(cells: list[str] | str, layout: Layout) -> Document | str:
    columns = layout.columns
    if isinstance(cells, str):
        return cells
    if len(cells) != len(columns):
        return f"expected {len(columns)} columns ({', '.join(columns)}), got {len(cells)}"
    return document_or_problem(dict(zip(columns, cells, strict=True)), layout.names)


def find_layout(cells: list[str], names: FieldNames) -> Layout:
    """Return the layout of a file with this first line; raise FieldError if it is unknown."""
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
    """Yield a record for each line: its cells, or what is wrong with it."""
    for line in read_lines(path):
        try:
            yield Record(line.number, line.text().split("\t"))
        except CorpusError as error:
            yield Record(line.number, str(error))


def read_csv(path: Path) -> Iterator[Record]:
    """Yield the records of a CSV file; a record may span lines."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    number = 0

    def text_of(line: Line) -> str:
        nonlocal number
        number = line.number
        return line.text() + "\n"

    reader = csv.reader(map(text_of, read_lines(path, blank=True)), strict=True)
    while True:
        start = number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except CorpusError as error:
            if error.path is not None:  # of the file, not of one line
                raise
            yield Record(number, str(error))
        except csv.Error as error:
            where = f" (the record starts on line {start})" if number > start else ""
            yield Record(number, f"no valid CSV: {error}{where}")
        else:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield Record(start, cells)
