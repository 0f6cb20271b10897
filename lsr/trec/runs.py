"""Runs: what a system returned for each topic, in memory and as TREC run files.

Hits have trec_eval's order: score descending *in single precision*, then document id descending;
ranks in a file do not count. Scores are therefore rounded to float32 where a run is made, and
written with the digits that give the same float32 back: a run measures the same before it is
written, after it is read, and with trec_eval.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsr.corpus.lines import read_text_lines, split_blanks
from lsr.errors import CorpusError, DataError, UsageError
from lsr.files import write_text

_N_COLUMNS = 6
_MAX_SCORE = float(np.finfo(np.float32).max)


class Ranking(NamedTuple):
    """Hits of one topic, best first: n doc_ids, and their scores as (n,) float32, never rising."""

    doc_ids: list[str]
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, doc_ids: Sequence[str], scores: ArrayLike) -> Ranking:
        """Order hits as trec_eval does.

        Raises DataError for a score that is not finite in single precision, or a repeated doc_id.
        """
        with np.errstate(over="ignore"):
            values = np.asarray(scores, dtype=np.float64).astype(np.float32)
        if values.shape != (len(doc_ids),):
            raise DataError(f"{len(doc_ids)} documents with scores of shape {values.shape}")
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise DataError(f"document {doc_ids[at]!r} has the score {values[at]}, not a number")
        if len(set(doc_ids)) < len(doc_ids):
            twice = next(doc_id for doc_id in doc_ids if list(doc_ids).count(doc_id) > 1)
            raise DataError(f"document {twice!r} appears twice in one ranking")
        ids = np.array(doc_ids, dtype=object)
        order = np.argsort(ids)[::-1] if len(ids) else np.zeros(0, np.int64)
        order = order[np.argsort(-values[order], kind="stable")]
        return cls(ids[order].tolist(), values[order])

    def without(self, doc_id: str) -> Ranking:
        """Return this ranking without a document."""
        if doc_id not in self.doc_ids:
            return self
        at = self.doc_ids.index(doc_id)
        return Ranking(self.doc_ids[:at] + self.doc_ids[at + 1 :], np.delete(self.scores, at))

    def top(self, k: int) -> Ranking:
        """Return the best `k` hits."""
        return Ranking(self.doc_ids[:k], self.scores[:k])


@dataclass(frozen=True)
class Run:
    """Rankings by qid; `name` is the tag of the run, the last column of its file.

    A topic without hits may be absent or have an empty ranking.
    """

    name: str
    rankings: Mapping[str, Ranking]

    @property
    def n_hits(self) -> int:
        """Number of hits of all topics."""
        return sum(len(ranking.doc_ids) for ranking in self.rankings.values())

    def __getitem__(self, qid: str) -> Ranking:
        """Return the ranking of a topic; an empty one when it has no hits."""
        return self.rankings.get(qid) or Ranking([], np.zeros(0, np.float32))

    def without_query_ids(self) -> Run:
        """Return the run without the hits whose doc_id equals the qid."""
        return Run(self.name, {qid: hits.without(qid) for qid, hits in self.rankings.items()})


def read_run(path: Path | str) -> Run:
    """Read a TREC run file, plain or gzip: ``qid Q0 docno rank score tag``.

    The second column and the rank, an integer, are not used (as in trec_eval). Lines of a topic
    need not stand together. Raises CorpusError, with file and line, for other columns, a rank that
    is no integer, a score that is no finite number, a document twice in a topic; also for an empty
    file.
    """
    path = Path(path)
    hits: dict[str, dict[str, float]] = {}
    names: dict[str, str] = {}  # one string per document, not one per line
    tag = ""
    for number, line in read_text_lines(path):
        qid, doc_id, score, tag = _parse(line, path, number)
        ranked = hits.setdefault(qid, {})
        if doc_id in ranked:
            raise CorpusError(
                f"document {doc_id!r} was returned for topic {qid!r} further up already; "
                "a run names each document once per topic",
                path,
                number,
            )
        ranked[names.setdefault(doc_id, doc_id)] = score
    if not hits:
        raise CorpusError("the run file holds no line", path)
    return Run(
        tag, {qid: Ranking.of(list(ranked), list(ranked.values())) for qid, ranked in hits.items()}
    )


def _parse(line: str, path: Path, number: int) -> tuple[str, str, float, str]:
    columns = split_blanks(line)
    if len(columns) != _N_COLUMNS:
        raise CorpusError(
            f"expected 6 columns (qid Q0 docno rank score tag), found {len(columns)}", path, number
        )
    qid, _, doc_id, rank, score, tag = columns
    if not rank.lstrip("+-").isdecimal():
        raise CorpusError(f"the rank must be an integer, found {rank!r}", path, number)
    try:
        value = float(score)
    except ValueError:
        value = float("nan")
    if not abs(value) <= _MAX_SCORE:
        raise CorpusError(
            f"the score must be a finite number in single precision, found {score!r}", path, number
        )
    return qid, doc_id, value, tag


def write_run(run: Run, path: Path | str) -> None:
    """Write a TREC run file; it appears whole or not at all, and reads back equal.

    Ranks count from 1. Raises UsageError when an id or the tag is empty or holds a blank, which the
    format cannot express, or the folder cannot be written; StorageFullError.
    """
    write_text(Path(path), run_lines(run))


def run_lines(run: Run) -> Iterator[str]:
    """Return the lines of a TREC run file; raises UsageError at once, as `write_run`."""
    _require_no_blanks(run)
    return _lines(run)


def _lines(run: Run) -> Iterator[str]:
    for qid, ranking in run.rankings.items():
        scores = map(str, ranking.scores)  # of a float32: the shortest that reads back equal
        for rank, (doc_id, score) in enumerate(zip(ranking.doc_ids, scores, strict=True), start=1):
            yield f"{qid} Q0 {doc_id} {rank} {score} {run.name}\n"


def _require_no_blanks(run: Run) -> None:
    def names() -> Iterable[tuple[str, str]]:
        yield "run tag", run.name
        for qid, ranking in run.rankings.items():
            yield "query id", qid
            for doc_id in ranking.doc_ids:
                yield "document id", doc_id

    for what, text in names():
        if split_blanks(text) != [text]:
            raise UsageError(
                f"the {what} {text!r} cannot stand in a TREC run: columns are separated by "
                "blanks; use ids without them, or the JSON report"
            )


def slug(text: str) -> str:
    """Return text as a run tag, or a part of a file name: letters, digits, dots and dashes."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.") or "system"
