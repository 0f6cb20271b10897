"""Test collections: a corpus, queries and relevance judgments.

Either a folder in BEIR layout (``corpus.jsonl``, ``queries.jsonl``, ``qrels/<split>.tsv``) or an id
of ir-datasets. The topics of an evaluation are those of the qrels, whatever else the query file
holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsr.corpus import Corpus, open_corpus
from lsr.corpus.opening import IR_DATASETS_PREFIX
from lsr.corpus.queries import open_queries
from lsr.errors import CorpusError, UsageError
from lsr.records import Query
from lsr.trec.qrels import Qrels, read_qrels

DEFAULT_SPLIT = "test"
QUERIES_ARE_DOCUMENTS = frozenset({"arguana", "quora"})
"""Collections whose queries are documents of the corpus with the same id. A query would find itself
first, so such hits are dropped (as in BEIR, and pyserini's ``--remove-query``)."""

_QRELS_SUFFIXES = (".tsv", ".txt", ".qrels", ".tsv.gz", ".txt.gz", ".qrels.gz")


@dataclass(frozen=True)
class JudgedCollection:
    """Queries and judgments, and where their corpus is.

    Attributes
    ----------
    name : str
        Name of the folder, or the id of ir-datasets.
    source : str
        What `lsr.corpus.open_corpus` opens.
    queries : sequence of Query
        The judged ones, in the order of the qrels.
    qrels : {qid: {doc_id: grade}}
        The same topics as `queries`.
    drop_query_id : bool
        Whether hits whose id equals the query's id are to be dropped.
    """

    name: str
    split: str
    source: str
    queries: Sequence[Query]
    qrels: Qrels
    drop_query_id: bool = False
    warnings: Sequence[str] = ()

    @property
    def n_judgments(self) -> int:
        """Number of judgments of all topics."""
        return sum(len(judged) for judged in self.qrels.values())

    def corpus(self, **options: Any) -> Corpus:
        """Open the corpus; `options` are those of `lsr.corpus.open_corpus`."""
        return open_corpus(self.source, **options)


def open_collection(
    source: str | Path, *, split: str | None = None, drop_query_id: bool | None = None
) -> JudgedCollection:
    """Open a test collection.

    Parameters
    ----------
    source : path or str
        A folder in BEIR layout, or an id of ir-datasets with or without ``ir-datasets:``.
    split : str, optional
        Which judgments: ``qrels/<split>.tsv`` (or .txt, .qrels, .gz) of a folder, "test" unless
        given; the last part of an ir-datasets id that has none itself.
    drop_query_id : bool, optional
        Drop hits whose id equals the query's id. By default where the name says ArguAna or Quora.

    Raises
    ------
    UsageError
        No such folder, id or split; the message lists the splits that exist.
    CorpusError
        Malformed queries or judgments, with file and line; no judged query is left.
    """
    text = str(source)
    folder = Path(source)
    if not text.startswith(IR_DATASETS_PREFIX) and folder.exists():
        name, used_split = folder.resolve().name, split or DEFAULT_SPLIT
        queries, qrels = _read_folder(folder, used_split)
    else:
        from lsr_eval.collections import irds

        name = irds.resolve(text, split or DEFAULT_SPLIT)
        text, used_split = IR_DATASETS_PREFIX + name, split or name.rsplit("/", 1)[-1]
        queries, qrels = irds.load(name)
    judged, warnings = _judged(queries, qrels, name)
    if drop_query_id is None:
        drop_query_id = not QUERIES_ARE_DOCUMENTS.isdisjoint(re.split(r"[^a-z]+", name.lower()))
    kept = {query.id: qrels[query.id] for query in judged}
    return JudgedCollection(name, used_split, text, judged, kept, drop_query_id, tuple(warnings))


def _read_folder(folder: Path, split: str) -> tuple[list[Query], Qrels]:
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is a file; expected a folder with corpus.jsonl, queries.jsonl and qrels/"
        )
    return list(open_queries(folder)), read_qrels(_qrels_file(folder, split))


def _qrels_file(folder: Path, split: str) -> Path:
    directory = folder / "qrels"
    splits = {
        path.name.removesuffix(suffix): path
        for suffix in reversed(_QRELS_SUFFIXES)
        for path in sorted(directory.glob(f"*{suffix}"))
    }
    if not splits:
        raise UsageError(
            f"{directory}: no qrels; expected {folder.name}/qrels/{split}.tsv with the columns "
            "query-id, corpus-id, score"
        )
    if split not in splits:
        raise UsageError(
            f"{folder} has no split {split!r}; it has: {', '.join(sorted(splits))} (--split)"
        )
    return splits[split]


def _judged(queries: list[Query], qrels: Qrels, name: str) -> tuple[list[Query], list[str]]:
    texts = {query.id: query for query in queries}
    judged = [texts[qid] for qid in qrels if qid in texts]
    if not judged:
        raise CorpusError(
            f"none of the {len(qrels)} judged topics is among the {len(queries)} queries "
            f"(first judged: {next(iter(qrels), '')!r}, first query: {next(iter(texts), '')!r}); "
            "queries and qrels are of different collections",
            name,
        )
    return judged, topic_warnings(qrels, [query.id for query in judged])


def topic_warnings(qrels: Qrels, kept: Collection[str]) -> list[str]:
    """Warn of judged topics that have no text (are not `kept`) or no relevant document."""
    warnings = []
    known = set(kept)
    missing = [qid for qid in qrels if qid not in known]
    if missing:
        warnings.append(
            f"{len(missing)} of {len(qrels)} judged topics have no query text and are left out "
            f"({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''})"
        )
    without = sum(1 for qid in kept if all(grade <= 0 for grade in qrels[qid].values()))
    if without:
        warnings.append(
            f"{without} of {len(kept)} topics have no relevant document; they count as 0"
        )
    return warnings
