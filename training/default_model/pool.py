"""Queries and documents that the default model learns from.

Everything here is redistributable text (the licences are in the model card). A part of every source
is held out by its position in a seeded shuffle and never reaches training: settings are chosen on
that part. Beside the queries that the sources bring, sentences of documents serve as queries: no
document is known to answer them, so they only pass on how the teachers rank.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsr.errors import CorpusError

SEED = 7


@dataclass(frozen=True)
class Source:
    """A file of pairs, how many of its first records are held out, and how many are used."""

    name: str
    held_out: int
    used: int
    sentences: int = 0


SOURCES = (
    Source("open-qa-wikipedia", held_out=2000, used=6000, sentences=1000),
    Source("arxiv-title-abstract", held_out=6000, used=6000, sentences=3000),
    Source("wikipedia-section", held_out=5000, used=3000, sentences=1000),
    Source("wikipedia-title-lead", held_out=0, used=1000),
    Source("debian-package-descriptions", held_out=5000, used=1500),
)

_SENTENCE = re.compile(r"(?<=[a-z)][.?!])\s+(?=[A-Z])")
_WORDS = range(8, 41)


@dataclass(frozen=True)
class Pool:
    """What training draws from.

    Attributes
    ----------
    documents : sequence of str, (n,)
        Without repeats.
    queries : sequence of str, (m,)
    positives : sequence of int or None, (m,)
        The document that answers a query; None where none is known to.
    origins : sequence of int or None, (m,)
        The document that a sentence was taken from. It must not be offered for that query.
    sources : sequence of int, (m,)
        Number of each query's source; the sentences of a source count as one of their own.
    """

    documents: Sequence[str]
    queries: Sequence[str]
    positives: Sequence[int | None]
    origins: Sequence[int | None]
    sources: Sequence[int]


def read_pool(folder: Path, sources: Sequence[Source] = SOURCES) -> Pool:
    """Read the sources.

    Parameters
    ----------
    folder : Path
        Holds ``<name>.jsonl.gz`` with the fields ``query``, ``positive`` and maybe ``negatives``.

    Raises
    ------
    CorpusError
        A source is absent, malformed or too small.
    """
    documents: dict[str, int] = {}
    queries: list[str] = []
    positives: list[int | None] = []
    origins: list[int | None] = []
    kinds: list[int] = []
    for kind, source in enumerate(sources):
        records = read_shuffled(folder, source.name)[source.held_out :][: source.used]
        if len(records) < source.used:
            raise CorpusError(f"holds {len(records)} records to use, expected {source.used}",
                              folder / source.name)  # fmt: skip
        numbers = []
        for record in records:
            numbers.append(documents.setdefault(record["positive"], len(documents)))
        queries += [record["query"] for record in records]
        positives += numbers
        origins += [None] * len(records)
        kinds += [2 * kind] * len(records)
        for number, sentence in _sentences(records, numbers, source.sentences):
            queries.append(sentence)
            positives.append(None)
            origins.append(number)
            kinds.append(2 * kind + 1)
    return Pool(list(documents), queries, positives, origins, kinds)


def read_shuffled(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the records of a source in their seeded order.

    Raises
    ------
    CorpusError
    """
    path = folder / f"{name}.jsonl.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(f"cannot be read as pairs ({error})", path) from error
    if not all(_is_pair(record) for record in records):
        raise CorpusError("expected a query and a positive, both with text, in each line", path)
    random.Random(SEED).shuffle(records)
    return records


def _is_pair(record: Any) -> bool:
    fields = (record.get("query"), record.get("positive")) if isinstance(record, dict) else ()
    return len(fields) == 2 and all(isinstance(text, str) and text.strip() for text in fields)


def _sentences(
    records: Sequence[dict[str, Any]], numbers: Sequence[int], wanted: int
) -> list[tuple[int, str]]:
    generator = random.Random(SEED)
    found: list[tuple[int, str]] = []
    for record, number in zip(records, numbers, strict=True):
        if len(found) == wanted:
            break
        fitting = [
            sentence
            for sentence in _SENTENCE.split(record["positive"])
            if len(sentence.split()) in _WORDS
        ]
        if fitting:
            found.append((number, generator.choice(fitting)))
    return found
