"""Sources of rankings that a fusion is fitted to: run files, or the branches of indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.queries import open_queries
from lsr.errors import CorpusError, UsageError
from lsr.progress import Progress
from lsr.trec.qrels import Qrels, absent_documents, read_qrels
from lsr.trec.runs import Ranking, Run, read_run
from lsr_eval.collections.collection import open_collection, topic_warnings
from lsr_eval.fusion_fitting.grid import DEPTHS, Bench
from lsr_eval.fusion_fitting.topics import topics_of
from lsr_index.fusion import BranchIdentity

if TYPE_CHECKING:
    from lsr_index.hybrid import Retriever


@dataclass(frozen=True)
class Judged:
    """Judgments of a collection or file, and the texts of their topics where they are known."""

    name: str
    qrels: Qrels
    texts: Mapping[str, str]
    warnings: Sequence[str] = ()


class Source(NamedTuple):
    """Rankings that a fusion is fitted to."""

    bench: Bench
    branches: Sequence[BranchIdentity]
    warnings: Sequence[str]


def judged_of(qrels: str, topics: str | None = None, split: str | None = None) -> Judged:
    """Open judgments.

    Parameters
    ----------
    qrels : str
        A qrels file, or a test collection (folder or ir-datasets id) that has queries as well.
    topics : str, optional
        File of queries, beside a qrels file.
    split : str, optional
        Of a test collection.
    """
    if Path(qrels).is_file():
        found = read_qrels(Path(qrels))
        texts = {} if topics is None else {query.id: query.text for query in open_queries(topics)}
        if texts and not texts.keys() & found.keys():
            raise CorpusError(
                f"holds none of the {len(found)} judged topics of {qrels} "
                f"(the first is {next(iter(found), '')!r})",
                topics,
            )
        kept = {qid: grades for qid, grades in found.items() if not texts or qid in texts}
        return Judged(Path(qrels).name, kept, texts, topic_warnings(found, kept))
    if topics is not None:
        raise UsageError("--topics goes with a qrels file; a test collection has its own")
    collection = open_collection(qrels, split=split)
    return Judged(
        f"{collection.name}/{collection.split}",
        collection.qrels,
        {query.id: query.text for query in collection.queries},
        collection.warnings,
    )


def bench_of_runs(runs: Mapping[str, Path], judged: Judged, measure: Any) -> Source:
    """Return the bench of run files, by name.

    Raises
    ------
    CorpusError
        A malformed run, or one without a judged topic; no relevant document in any of them.
    """
    read = [read_run(path) for path in runs.values()]
    for path, run in zip(runs.values(), read, strict=True):
        if not judged.qrels.keys() & run.rankings.keys():
            raise CorpusError(
                f"answers none of the {len(judged.qrels)} judged topics of {judged.name}", path
            )
    topics = topics_of(read, judged.qrels)
    if not any(judged.qrels[t.qid].get(doc_id, 0) > 0 for t in topics for doc_id in t.doc_ids):
        some_id = next((doc_id for topic in topics for doc_id in topic.doc_ids), "")
        raise CorpusError(
            f"no run returns a relevant document of {judged.name}; they are of another corpus, or "
            f"the ids of documents differ (in the runs, such as {some_id!r})"
        )
    names = list(runs)
    bench = Bench(names, [None] * len(names), topics, judged.qrels, measure)
    return Source(bench, [BranchIdentity(name, "run") for name in names], judged.warnings)


def bench_of_branches(
    retriever: Retriever, judged: Judged, measure: Any, progress: Progress | None = None
) -> Source:
    """Return the bench of the branches of indexes, which can score any document.

    Raises
    ------
    UsageError
        The texts of the topics are not known, or there is one branch only.
    CorpusError
        None of the relevant documents is in the index.
    """
    from lsr_index.hybrid import BranchOptions, QueryParts, identities

    branches = retriever.chosen("hybrid")
    if not judged.texts:
        raise UsageError(
            f"{judged.name} has no queries, which an index is searched for; name their file with "
            "--topics, or fit to run files"
        )
    absent = absent_documents(
        judged.qrels,
        judged.name,
        lambda doc_id: any(branch.index.find(doc_id) is not None for branch in branches),
    )
    vectors: dict[tuple[str, str], Any] = {}
    rankings: dict[str, dict[str, Ranking]] = {branch.name: {} for branch in branches}
    for done, qid in enumerate(judged.qrels):
        for branch in branches:
            vector, _ = branch.encode(QueryParts(judged.texts[qid]))
            vectors[branch.name, qid] = vector
            hits = branch.search(vector, DEPTHS[-1], BranchOptions())
            rankings[branch.name][qid] = Ranking.of(hits.ids, hits.scores)
        if progress is not None:
            progress("search", done + 1, len(judged.qrels))
    by_name = {branch.name: branch for branch in branches}

    def score(name: str, qid: str, doc_ids: Sequence[str]) -> NDArray[np.float64]:
        branch = by_name[name]
        found = [branch.index.find(doc_id) for doc_id in doc_ids]
        scores = np.full(len(doc_ids), np.nan)
        known = np.array([ordinal is not None for ordinal in found], np.bool_)
        if known.any():
            ordinals = np.array([ordinal for ordinal in found if ordinal is not None], np.int64)
            scores[known] = branch.scores(vectors[name, qid], ordinals)
        return scores

    runs = [Run(branch.name, rankings[branch.name]) for branch in branches]
    bench = Bench(
        list(by_name),
        [branch.least_score for branch in branches],
        topics_of(runs, judged.qrels),
        judged.qrels,
        measure,
        score,
    )
    return Source(bench, identities(branches), (*judged.warnings, *absent))
