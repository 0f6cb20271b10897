"""`Corpus`, the base class of all readers: limits, duplicate ids, and errors or skipped lines.

Readers yield rows; a row is a document or the error message of a line.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from lsr.corpus.duplicates import SeenIds
from lsr.corpus.fields import FieldNames
from lsr.corpus.limits import DEFAULT_LIMITS, Limits, document_problem
from lsr.corpus.lines import estimate_lines
from lsr.errors import CorpusError, UsageError
from lsr.records import Document

OnError = Literal["fail", "skip"]
MAX_KEPT_ERRORS = 1000
"""Errors of skipped lines beyond these are only counted."""


class Row(NamedTuple):
    """Document or error message, with its place."""

    path: Path | str
    line: int | None
    item: Document | str


@dataclass(frozen=True, slots=True)
class ReadRules:
    """Treatment of malformed lines and limits of documents; see `lsr.corpus.open_corpus`."""

    on_error: OnError = "fail"
    max_errors: int | None = None
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        if self.on_error not in ("fail", "skip"):
            raise UsageError(f'on_error {self.on_error!r}: expected "fail" or "skip"')
        if self.max_errors is not None and self.max_errors < 0:
            raise UsageError(f"max_errors {self.max_errors}: expected 0 or more")


class Corpus(ABC):
    """Collection of documents that can be read any number of times.

    Attributes
    ----------
    name : str
        File or folder name, or id of the collection.
    skipped : list of CorpusError
        Errors of the first 1,000 lines skipped by the current or last pass.
    n_skipped : int
        Number of lines skipped by that pass.
    """

    kind: str
    unit = "document"
    part = "line"

    def __init__(self, name: str, rules: ReadRules) -> None:
        self.name = name
        self.rules = rules
        self.skipped: list[CorpusError] = []
        self.n_skipped = 0

    def __iter__(self) -> Iterator[Document]:
        """Read the documents.

        Raises CorpusError, with file and line, at the first malformed line or when too many were
        skipped; also for an unreadable file and for a corpus without documents.
        """
        self.skipped, self.n_skipped = [], 0
        seen = SeenIds()
        for position, row in enumerate(self._rows(), 1):
            problem = row.item if isinstance(row.item, str) else self._problem(row, seen, position)
            if problem is not None:
                self._handle(CorpusError(problem, row.path, row.line))
            elif isinstance(row.item, Document):
                yield row.item
        if len(seen) == 0:
            raise self._empty()

    def fingerprint(self) -> str:
        """Return a SHA-256 digest (64 hexadecimal digits) of the source and its field names.

        Files enter with size and modification time, not content. The treatment of malformed rows
        does not enter, so that a job stopped by one can resume without it.
        """
        parts = [self.kind, *self._identity()]
        return hashlib.sha256(orjson.dumps(parts)).hexdigest()

    def count_hint(self) -> int | None:
        """Return the approximate number of documents, or None if unknown."""
        return None

    @abstractmethod
    def _rows(self) -> Iterator[Row]:
        """Yield rows in a stable order; raise CorpusError if the source is unreadable."""

    @abstractmethod
    def _identity(self) -> list[Any]:
        """Return JSON values that identify the source."""

    def _problem(self, row: Row, seen: SeenIds, position: int) -> str | None:
        assert isinstance(row.item, Document)
        problem = document_problem(row.item, self.rules.limits)
        if problem is not None:
            return problem
        first = seen.first_line(row.item.id, row.line or position)
        if first is None:
            return None
        return f"the id {row.item.id!r} is taken by line {first} already; expected it only once"

    def _handle(self, error: CorpusError) -> None:
        if self.rules.on_error == "fail":
            raise error
        self.n_skipped += 1
        if len(self.skipped) < MAX_KEPT_ERRORS:
            self.skipped.append(error)
        if self.rules.max_errors is not None and self.n_skipped > self.rules.max_errors:
            raise CorpusError(
                f"{error}; that is bad {self.part} number {self.n_skipped}, and at most "
                f"{self.rules.max_errors} are skipped (max_errors=)"
            ) from error

    def _empty(self) -> CorpusError:
        if self.skipped:
            return CorpusError(
                f"no {self.unit} could be read; all {self.n_skipped} {self.part}s were skipped, "
                f"the first because of: {self.skipped[0]}",
                self.name,
            )
        return CorpusError(f"holds no {self.unit}", self.name)


class FileCorpus(Corpus):
    """Documents of one file of records with named fields."""

    def __init__(self, path: Path, names: FieldNames, rules: ReadRules) -> None:
        super().__init__(path.name, rules)
        self.path = path
        self.names = names

    def count_hint(self) -> int | None:
        """Return an estimate from the first MiB of the file."""
        return estimate_lines(self.path)

    def _identity(self) -> list[Any]:
        return [file_identity(self.path), self.names.id, self.names.text, self.names.title]


def file_identity(path: Path, name: str | None = None) -> list[Any]:
    """Return the name, size in bytes and modification time in ns of a file."""
    status = path.stat()
    return [name or path.name, status.st_size, status.st_mtime_ns]
