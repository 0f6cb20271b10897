"""Relevance judgments (*qrels*) from a file.

The number of columns of the first line tells the layout: three (BEIR: query, document, grade) or
four (TREC: query, iteration, document, grade). Columns are separated by tabs where a line has any,
by blanks otherwise (see `lsr.corpus.lines`). A header line is recognised by the words in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from lsr.corpus.lines import read_text_lines, split_blanks
from lsr.errors import CorpusError

Qrels = dict[str, dict[str, int]]
"""``{query id: {document id: grade}}``; a grade of 0 or less means not relevant."""

_GRADE_WORDS = {"score", "relevance", "rel", "label", "grade", "judgment", "judgement"}
_LAYOUTS = {3: "query, document, grade", 4: "query, iteration, document, grade"}


def read_qrels(path: Path) -> Qrels:
    """Read a qrels file; topics keep its order.

    A line that repeats a judgment is dropped. Raises CorpusError, with file and line, for one that
    contradicts it, a wrong number of columns, a grade that is no integer, an empty id; also for a
    file that cannot be read or holds no judgment.
    """
    qrels: Qrels = {}
    n_columns = 0
    for number, columns in _rows(path):
        if not n_columns:
            n_columns = _layout(columns, path, number)
            if columns[-1].strip().lower() in _GRADE_WORDS:
                continue
        if len(columns) != n_columns:
            raise CorpusError(
                f"expected {n_columns} columns ({_LAYOUTS[n_columns]}) as in the first line, "
                f"found {len(columns)}",
                path,
                number,
            )
        doc_id, grade = columns[-2], _grade(columns[-1], path, number)
        if not columns[0] or not doc_id:
            raise CorpusError("the query id or the document id is empty", path, number)
        judged = qrels.setdefault(columns[0], {})
        if judged.setdefault(doc_id, grade) != grade:
            raise CorpusError(
                f"document {doc_id!r} has grade {grade} here and {judged[doc_id]} further up for "
                f"query {columns[0]!r}; keep one of the two lines",
                path,
                number,
            )
    if not qrels:
        raise CorpusError("the qrels file holds no judgment", path)
    return qrels


def absent_documents(qrels: Qrels, name: str, known: Callable[[str], bool]) -> tuple[str, ...]:
    """Return a warning about judged documents that `known` does not find in an index, if any.

    Raises CorpusError when it has no relevant document at all: an index of another corpus would
    score 0 without a word. `name` is that of the judgments.
    """
    relevance: dict[str, bool] = {}
    for judged in qrels.values():
        for doc_id, grade in judged.items():
            relevance[doc_id] = relevance.get(doc_id, False) or grade > 0
    absent = [doc_id for doc_id in relevance if not known(doc_id)]
    n_relevant = sum(relevance.values())
    if n_relevant and sum(relevance[doc_id] for doc_id in absent) == n_relevant:
        raise CorpusError(
            f"none of the {n_relevant} relevant documents of {name} "
            f"(such as {next(d for d in relevance if relevance[d])!r}) is in the index; "
            "it is an index of another corpus, or its ids differ"
        )
    if not absent:
        return ()
    return (
        f"{len(absent)} of {len(relevance)} judged documents are not in the index and cannot be "
        f"found ({', '.join(absent[:3])}{', …' if len(absent) > 3 else ''})",
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in read_text_lines(path):
        yield number, line.split("\t") if "\t" in line else split_blanks(line)


def _layout(columns: list[str], path: Path, number: int) -> int:
    if len(columns) not in _LAYOUTS:
        raise CorpusError(
            f"expected 3 columns ({_LAYOUTS[3]}) or 4 ({_LAYOUTS[4]}), found {len(columns)}",
            path,
            number,
        )
    return len(columns)


def _grade(text: str, path: Path, number: int) -> int:
    try:
        return int(text)
    except ValueError:
        raise CorpusError(f"the grade must be an integer, found {text!r}", path, number) from None
