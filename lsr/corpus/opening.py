"""`open_corpus`: the reader for a source, by its format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from lsr.corpus.base import Corpus, OnError, ReadRules
from lsr.corpus.delimited import DelimitedCorpus
from lsr.corpus.fields import DOCUMENT_FIELDS, FieldNames
from lsr.corpus.jsonl import JsonlCorpus, beir_file
from lsr.corpus.limits import DEFAULT_LIMITS, Limits
from lsr.corpus.passages import DEFAULT_PASSAGE_WORDS
from lsr.errors import CorpusError, UsageError

Format = Literal["beir", "jsonl", "tsv", "csv", "parquet", "folder", "ir-datasets", "python-docs"]
FORMATS: tuple[Format, ...] = get_args(Format)
IR_DATASETS_PREFIX = "ir-datasets:"
_BY_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".tsv": "tsv",
    ".csv": "csv",
    ".parquet": "parquet",
    **dict.fromkeys((".txt", ".text", ".md", ".markdown", ".rst", ".html", ".htm"), "folder"),
}


def open_corpus(
    source: str | Path,
    *,
    format: Format | None = None,
    on_error: OnError = "fail",
    max_errors: int | None = None,
    id_field: str | None = None,
    text_field: str | None = None,
    title_field: str | None = None,
    passage_words: int | None = DEFAULT_PASSAGE_WORDS,
    limits: Limits = DEFAULT_LIMITS,
) -> Corpus:
    """Open a collection of documents; reads only what is needed to detect its format.

    Parameters
    ----------
    source : str or Path
        A BEIR folder, a JSON lines, TSV, CSV or Parquet file (the text formats also as gzip), a
        folder of text, Markdown, reStructuredText and HTML files or one such file,
        ``ir-datasets:ID``, or ``python-docs`` (a folder of that name is ``./python-docs``).
    format : str, optional
        One of `FORMATS`, if name and suffix do not show it.
    on_error : {"fail", "skip"}
        Stop at the first malformed line, or skip such lines (`Corpus.skipped`).
    max_errors : int, optional
        Maximum number of skipped lines.
    id_field, text_field, title_field : str, optional
        Field names instead of the usual ones; column numbers, from 1, for a file without header.
    passage_words : int or None
        Words of a passage of folders and ``python-docs``; None keeps sections whole.
    limits : Limits
        Maximum sizes of documents.

    Raises
    ------
    CorpusError
        `source` does not exist or is not a corpus.
    UsageError
        An option is invalid.
    """
    if passage_words is not None and (type(passage_words) is not int or passage_words < 1):
        raise UsageError(
            f"passage_words {passage_words!r}: the words of a passage; "
            "expected a whole number from 1 up"
        )
    rules = ReadRules(on_error, max_errors, limits)
    names = DOCUMENT_FIELDS.chosen(id_field, text_field, title_field)
    text = str(source)
    kind = format if format is not None else _detected_format(text)
    if kind == "python-docs":
        from lsr.corpus.python_docs import PythonDocsCorpus

        return PythonDocsCorpus(rules, passage_words)
    if kind == "ir-datasets":
        from lsr.corpus.ir_collection import IrDatasetsCorpus

        return IrDatasetsCorpus(text.removeprefix(IR_DATASETS_PREFIX), names, rules)
    path = Path(text)
    require_file(path)
    if kind == "folder":
        from lsr.corpus.folder import PARSERS, FolderCorpus

        if path.is_file() and path.suffix.lower() not in PARSERS:
            raise CorpusError(
                f"format folder takes a folder of documents, or one file of "
                f"{', '.join(sorted(PARSERS))}",
                path,
            )
        return FolderCorpus(path, rules, passage_words)
    return _open_file(path, kind, names, rules)


def _detected_format(source: str) -> Format:
    if source == "python-docs":
        return "python-docs"
    if source.startswith(IR_DATASETS_PREFIX):
        return "ir-datasets"
    path = Path(source)
    if path.is_dir():
        return "beir" if beir_file(path) else "folder"
    require_file(path)
    kind = _BY_SUFFIX.get(suffix_of(path))
    if kind is None:
        raise CorpusError(
            f"what kind of file this is cannot be told from its name; expected one of "
            f"{', '.join(_BY_SUFFIX)} (also .gz), or say which format it is: {', '.join(FORMATS)}",
            path,
        )
    return kind


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, without a final ``.gz``."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def require_file(path: Path) -> None:
    """Raise CorpusError if a path does not exist or is an empty file."""
    if not path.exists():
        raise CorpusError(
            "no such file or folder; expected a corpus: a BEIR folder, a .jsonl, .tsv, .csv or "
            f".parquet file, a folder of documents, {IR_DATASETS_PREFIX}ID or python-docs",
            path,
        )
    if path.is_file() and path.stat().st_size == 0:
        raise CorpusError("the file is empty; expected documents", path)


def require_beir_file(folder: Path, stem: str) -> Path:
    """Return a file of a BEIR folder; raise CorpusError if it does not exist or is empty."""
    file = beir_file(folder, stem)
    if file is None:
        raise CorpusError(f"no {stem}.jsonl in this folder; expected a BEIR folder", folder)
    require_file(file)
    return file


def _open_file(path: Path, kind: Format, names: FieldNames, rules: ReadRules) -> Corpus:
    if kind == "beir":
        corpus = JsonlCorpus(require_beir_file(path, "corpus"), names, rules)
        corpus.name = path.resolve().name
        return corpus
    if path.is_dir():
        raise CorpusError(f"is a folder; expected a {kind} file", path)
    if kind == "jsonl":
        return JsonlCorpus(path, names, rules)
    if kind in ("tsv", "csv"):
        return DelimitedCorpus(path, kind, names, rules)
    if kind == "parquet":
        from lsr.corpus.parquet import ParquetCorpus

        return ParquetCorpus(path, names, rules)
    raise UsageError(f"format {kind!r}: expected one of {', '.join(FORMATS)}")
