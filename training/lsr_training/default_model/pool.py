"""Training texts of the default model: short texts as queries, and documents.

All texts are redistributable (the licences are in the model card). A part of every source of pairs,
chosen by a seeded shuffle, is held out of training: settings are chosen on it. No judgements are
used, so any line of text can be a query: titles and parts of sentences cover words that are rare in
questions.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lsr.errors import CorpusError

SEED = 7


class Source(NamedTuple):
    """File of pairs, with the numbers of records that are held out and used."""

    name: str
    held_out: int
    used: int


class Passages(NamedTuple):
    """File of passages, with the numbers of titles and of sentences that become queries."""

    name: str
    titles: int
    sentences: int


PAIRS = (
    Source("open-qa-wikipedia", held_out=2000, used=14_700),
    Source("arxiv-title-abstract", held_out=6000, used=14_000),
    Source("wikipedia-section", held_out=5000, used=10_000),
    Source("wikipedia-title-lead", held_out=2000, used=4000),
    Source("debian-package-descriptions", held_out=5000, used=4000),
    Source("scitldr", held_out=400, used=5000),
)
PASSAGES = (
    Passages("wikipedia-300k", titles=25_000, sentences=60_000),
    Passages("arxiv-60k", titles=15_000, sentences=15_000),
)

_SENTENCE = re.compile(r"(?<=[a-z)][.?!])\s+(?=[A-Z])")
_WORDS = (4, 14)


class Pool(NamedTuple):
    """Training texts without duplicates."""

    queries: Sequence[str]
    documents: Sequence[str]


def read_pool(
    pairs: Path,
    passages: Path,
    sources: Sequence[Source] = PAIRS,
    more: Sequence[Passages] = PASSAGES,
) -> Pool:
    """Read the sources.

    Parameters
    ----------
    pairs : Path
        Holds ``<name>.jsonl.gz`` with the fields ``query`` and ``positive``.
    passages : Path
        Holds ``<name>.jsonl.gz`` with the fields ``title`` and ``text``.

    Raises
    ------
    CorpusError
        A source is absent, malformed or too small.
    """
    queries: list[str] = []
    documents: list[str] = []
    for source in sources:
        records = read_shuffled(pairs, source.name)[source.held_out :][: source.used]
        if len(records) < source.used:
            raise CorpusError(f"holds {len(records)} records to use, expected {source.used}",
                              pairs / source.name)  # fmt: skip
        queries += [record["query"] for record in records]
        documents += [record["positive"] for record in records]
    documents = list(dict.fromkeys(documents))
    queries += _lines(documents, len(documents))
    for source_of_lines in more:
        records = _shuffled(_read(passages, source_of_lines.name, ("title", "text")))
        queries += [r["title"] for r in records if r["title"].strip()][: source_of_lines.titles]
        queries += _lines([record["text"] for record in records], source_of_lines.sentences)
    return Pool(list(dict.fromkeys(queries)), _shuffled(documents))


def read_shuffled(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the records of a source of pairs in their seeded order."""
    records = _read(folder, name, ("query", "positive"))
    path = folder / f"{name}.jsonl.gz"
    if not all(record["query"].strip() and record["positive"].strip() for record in records):
        raise CorpusError("expected a query and a positive, both with text, in each line", path)
    return _shuffled(records)


def _read(folder: Path, name: str, fields: tuple[str, str]) -> list[dict[str, Any]]:
    path = folder / f"{name}.jsonl.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(f"cannot be read as JSON lines ({error})", path) from error
    for record in records:
        found = [record.get(field) for field in fields] if isinstance(record, dict) else [None]
        if not all(isinstance(text, str) for text in found):
            raise CorpusError(f"expected the fields {' and '.join(fields)} in each line", path)
    return records


def _shuffled(items: Sequence[Any]) -> list[Any]:
    return random.Random(SEED).sample(items, len(items))


def _lines(texts: Sequence[str], wanted: int) -> list[str]:
    """Return a part of a sentence from each of the first texts that have one."""
    generator = random.Random(SEED)
    found: list[str] = []
    for text in texts:
        if len(found) == wanted:
            break
        found += _piece(text, generator)
    return found


def _piece(text: str, generator: random.Random) -> Iterator[str]:
    sentences = [
        words for words in map(str.split, _SENTENCE.split(text)) if len(words) >= _WORDS[0]
    ]
    if sentences:
        words = generator.choice(sentences)
        length = min(generator.randint(*_WORDS), len(words))
        start = generator.randint(0, len(words) - length)
        yield " ".join(words[start : start + length])
