"""Anserini JSON lines of sparse vectors: ``{"id": …, "contents": …, "vector": {term: weight}}``.

One JSON object a line, in one file or in a folder of such files, plain or gzip. Terms are strings;
a vocabulary gives them ids. Beyond Anserini's own fields, ``title`` is kept, an object ``metadata``
is spread and every other field becomes metadata.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import orjson

from lsr.corpus.duplicates import SeenIds
from lsr.corpus.fields import FieldError, FieldNames, document_from_fields
from lsr.corpus.lines import Line, read_lines
from lsr.errors import CorpusError, DataError, VectorError
from lsr.files import atomic_path
from lsr.records import Document, DocumentBatch
from lsr.sparse import MAX_TERM_ID, MAX_WEIGHT
from lsr.vectors.placed import document_error, placed_batch
from lsr.vocabulary import Vocabulary

_SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz")
_BATCH_BYTES = 32 * 2**20
_INTEGER = re.compile(r"[0-9]{1,10}")
_FIELDS = FieldNames(text=("contents", "text", "content", "body"))


class _Record(NamedTuple):
    place: str
    document: Document
    term_ids: list[int]
    weights: list[float]


class AnseriniVectors:
    """A file or folder of vectors; each iteration reads it from the start, batch by batch.

    `vocabulary` is complete after the first pass; it is None when terms are ids.
    """

    def __init__(
        self, paths: list[Path], vocabulary: Vocabulary | None, *, fixed: bool, batch_docs: int
    ) -> None:
        self.paths = paths
        self.vocabulary = vocabulary
        self._fixed = fixed
        self._batch_docs = batch_docs

    def __iter__(self) -> Iterator[DocumentBatch]:
        """Read validated batches; raises VectorError with file and line."""
        seen = SeenIds()
        held_bytes = 0
        held: list[_Record] = []
        for n_docs, (record, size) in enumerate(self._records(), 1):
            problem = document_error(record.document, seen, n_docs)
            if problem is not None:
                raise VectorError(f"{record.place}: {problem}")
            held.append(record)
            held_bytes += size
            if len(held) == self._batch_docs or held_bytes > _BATCH_BYTES:
                yield _batch(held)
                held, held_bytes = [], 0
        if held:
            yield _batch(held)

    def _records(self) -> Iterator[tuple[_Record, int]]:
        """Yield the records of all files, each with the bytes of its line."""
        for path in self.paths:
            try:
                for line in read_lines(path):
                    yield self._record(f"{path}:{line.number}", line), len(line.data)
            except CorpusError as error:
                raise VectorError(str(error)) from error

    def _record(self, place: str, line: Line) -> _Record:
        try:
            if line.problem is not None:
                raise VectorError(line.problem)
            fields = _parsed(line.data)
            vector = fields.pop("vector", None)
            if not isinstance(vector, dict):
                raise VectorError('expected an object "vector" of terms and weights')
            if not any(name in fields for name in _FIELDS.text):
                fields["contents"] = ""
            document = document_from_fields(fields, _FIELDS)
            term_ids = [self._term_id(term) for term in vector]
            weights = list(vector.values())
            for term, weight in vector.items():
                if type(weight) not in (int, float) or not 0 <= weight <= MAX_WEIGHT:
                    raise VectorError(
                        f"term {term!r}: expected a finite weight from 0 to {MAX_WEIGHT:g}, "
                        f"got {str(weight)[:40]}"
                    )
        except (DataError, FieldError) as error:
            raise VectorError(f"{place}: {error}") from error
        return _Record(place, document, term_ids, weights)

    def _term_id(self, term: str) -> int:
        if self.vocabulary is None:
            if not _INTEGER.fullmatch(term) or int(term) > MAX_TERM_ID:
                raise VectorError(f"term {term[:40]!r}: expected a term id from 0 to 2^32-1")
            return int(term)
        if not self._fixed:
            return self.vocabulary.add(term)
        term_id = self.vocabulary.term_id(term)
        if term_id is None:
            raise VectorError(
                f"term {term[:40]!r} is not in the vocabulary; "
                "these vectors come from another encoder"
            )
        return term_id


def read_anserini(
    path: str | Path,
    *,
    vocabulary: Vocabulary | None = None,
    fixed: bool = False,
    integer_terms: bool = False,
    batch_docs: int = 1024,
) -> AnseriniVectors:
    """Open Anserini JSON lines of sparse vectors; an iteration yields `DocumentBatch`.

    `path` is a file, or a folder of ``.jsonl`` and ``.json`` files (also ``.gz``). `vocabulary`
    (default: a new one) gives terms their ids and grows by new terms; with `fixed`, a new term is
    an error; with `integer_terms`, terms are ids in decimal, without a vocabulary. A batch has at
    most `batch_docs` documents, and fewer when its lines exceed 32 MiB. Raises VectorError when
    nothing is there, and, while reading, at the first bad line, naming it.
    """
    source = Path(path)
    paths = [source]
    if source.is_dir():
        paths = sorted(file for file in source.iterdir() if file.name.endswith(_SUFFIXES))
    if not paths or not source.exists():
        found = "an empty folder or other files" if source.is_dir() else "nothing"
        raise VectorError(f"{source}: expected {' or '.join(_SUFFIXES)} files, found {found}")
    if integer_terms:
        vocabulary = None
    elif vocabulary is None:
        vocabulary = Vocabulary()
    return AnseriniVectors(paths, vocabulary, fixed=fixed, batch_docs=batch_docs)


def write_anserini(
    path: str | Path, batches: Iterable[DocumentBatch], vocabulary: Vocabulary | None = None
) -> int:
    """Write documents with their vectors, atomically; gzip when the name ends in ``.gz``.

    Terms are those of `vocabulary`, or else ids in decimal. Returns the number of documents. Raises
    VectorError for a term id without a term, StorageFullError when no room is left.
    """
    n_docs = 0
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as raw:
        # A fixed time and no name inside: the same documents give the same bytes.
        packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if str(path).endswith(".gz") else raw
        with packed as file:
            for batch in batches:
                for row in range(batch.n_docs):
                    file.write(_serialised(batch, row, vocabulary))
                n_docs += batch.n_docs
    return n_docs


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data, object_pairs_hook=_unique, parse_constant=_raise_constant)
    except (ValueError, RecursionError) as error:
        raise VectorError(f"no valid JSON: {error}") from error
    if not isinstance(record, dict):
        raise VectorError("expected a JSON object")
    return record


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise VectorError(f"{twice[:40]!r} appears twice; a vector holds each term once")
    return record


def _raise_constant(name: str) -> NoReturn:
    raise VectorError(f"{name} is no JSON; expected finite numbers")


def _batch(records: list[_Record]) -> DocumentBatch:
    vectors = placed_batch(
        np.array([len(record.term_ids) for record in records], np.int64),
        np.array([term_id for record in records for term_id in record.term_ids], np.int64),
        np.array([weight for record in records for weight in record.weights], np.float64),
        lambda row: records[row].place,
    )
    return DocumentBatch.of([record.document for record in records], vectors)


def _serialised(batch: DocumentBatch, row: int, vocabulary: Vocabulary | None) -> bytes:
    term_ids, weights = batch.vectors.row(row)
    terms = [
        str(term_id) if vocabulary is None else vocabulary.term(term_id)
        for term_id in term_ids.tolist()
    ]
    if "" in terms:
        raise VectorError(
            f"document {batch.ids[row]!r}: term id {term_ids[terms.index('')]} has no term"
        )
    record: dict[str, Any] = {"id": batch.ids[row], "contents": batch.texts[row]}
    if batch.titles[row]:
        record["title"] = batch.titles[row]
    if batch.metadata[row]:
        record["metadata"] = dict(batch.metadata[row])
    record["vector"] = dict(zip(terms, weights, strict=True))
    return orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
