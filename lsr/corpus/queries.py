"""Queries (topics) from files and collections, with the readers of documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lsr.corpus.base import Corpus, OnError, ReadRules
from lsr.corpus.delimited import DelimitedCorpus
from lsr.corpus.fields import QUERY_FIELDS
from lsr.corpus.jsonl import JsonlCorpus
from lsr.corpus.limits import Limits
from lsr.corpus.opening import IR_DATASETS_PREFIX, require_beir_file, require_file, suffix_of
from lsr.errors import CorpusError
from lsr.records import Query

MAX_QUERY_CHARS = 8192


class Queries:
    """Queries that can be read any number of times; `name` is that of the file or collection."""

    def __init__(self, corpus: Corpus) -> None:
        corpus.unit = "query"
        self._corpus = corpus
        self.name = corpus.name

    @property
    def skipped(self) -> list[CorpusError]:
        """Errors of lines skipped by the current or last pass."""
        return self._corpus.skipped

    def __iter__(self) -> Iterator[Query]:
        """Read the queries; errors as for `lsr.corpus.Corpus`."""
        for document in self._corpus:
            yield Query(document.id, document.text)


def open_queries(
    source: str | Path,
    *,
    on_error: OnError = "fail",
    max_errors: int | None = None,
    max_chars: int = MAX_QUERY_CHARS,
) -> Queries:
    """Open a source of queries; raises CorpusError when there are none.

    Parameters
    ----------
    source : str or Path
        A BEIR folder or a ``queries.jsonl`` (``_id``, ``text``); a TSV or CSV file, ``qid`` and
        text in this order or named by a header; all also as gzip; or ``ir-datasets:ID``. Other
        suffixes are read as TSV.
    on_error, max_errors
        As for `lsr.corpus.open_corpus`.
    max_chars : int
        Maximum length of a query. Empty queries are kept.
    """
    rules = ReadRules(on_error, max_errors, Limits(text_bytes=4 * max_chars, text_chars=max_chars))
    text = str(source)
    if text.startswith(IR_DATASETS_PREFIX):
        from lsr.corpus.ir_collection import IrDatasetsQueries

        return Queries(IrDatasetsQueries(text.removeprefix(IR_DATASETS_PREFIX), rules))
    path = Path(text)
    require_file(path)
    if path.is_dir():
        path = require_beir_file(path, "queries")
    suffix = suffix_of(path)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return Queries(JsonlCorpus(path, QUERY_FIELDS, rules))
    kind = "csv" if suffix == ".csv" else "tsv"
    return Queries(DelimitedCorpus(path, kind, QUERY_FIELDS, rules))
