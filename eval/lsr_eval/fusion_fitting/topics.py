"""Pools of documents by topic that a fusion ranks, and fused runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.trec.runs import Ranking, Run
from lsr_index.fusion import Fusion
from lsr_index.fusion.combine import Fused, Pool, RankedList, fuse, gather

Scorer = Callable[[str, str, Sequence[str]], NDArray[np.float64]]
"""Branch, topic and ids of documents to their scores in that branch."""


@dataclass(frozen=True)
class Topic:
    """What the branches returned for one topic.

    `doc_ids` ascend; the keys of the lists, one of each branch, are positions in it.
    """

    qid: str
    doc_ids: Sequence[str]
    lists: Sequence[RankedList]

    def pool(
        self,
        depth: int | None,
        used: Sequence[int],
        branches: Sequence[str] = (),
        scorer: Scorer | None = None,
    ) -> Pool:
        """Return the pool of the first hits of some branches.

        `used` are their positions among all `branches`; `scorer` gives missing scores.
        """
        pool = gather([self.lists[branch] for branch in used], depth)
        for row, branch in enumerate(used if scorer else ()):
            at = pool.without_score(row)
            if len(at) and scorer is not None:
                wanted = [self.doc_ids[key] for key in pool.keys[at]]
                pool.scores[row, at] = scorer(branches[branch], self.qid, wanted)
        return pool

    def ranking(self, fused: Fused, k: int | None = None) -> Ranking:
        """Return a fused ranking by ids, its first `k` hits."""
        return Ranking.of([self.doc_ids[key] for key in fused.keys[:k]], fused.scores[:k])


def topics_of(runs: Sequence[Run], qids: Iterable[str]) -> list[Topic]:
    """Join the rankings of several runs, one for each branch, by topic."""
    topics = []
    for qid in qids:
        rankings = [run[qid] for run in runs]
        doc_ids = sorted({doc_id for ranking in rankings for doc_id in ranking.doc_ids})
        keys = {doc_id: key for key, doc_id in enumerate(doc_ids)}
        lists = [
            RankedList.of([keys[doc_id] for doc_id in ranking.doc_ids], ranking.scores)
            for ranking in rankings
        ]
        topics.append(Topic(qid, doc_ids, lists))
    return topics


def fuse_runs(
    runs: Mapping[str, Run],
    fusion: Fusion,
    *,
    name: str = "fusion",
    k: int = 1000,
    bounds: Mapping[str, float | None] | None = None,
) -> Run:
    """Fuse runs of the same topics.

    A document that a run does not name counts there as its last one (see
    `lsr_index.fusion.methods`): run files have no score for it.

    Parameters
    ----------
    fusion : Fusion
        Its depth, where it has none: `k`.
    name : str
        Tag of the new run.
    bounds : mapping of branch name to float or None, optional
        The least score of branches where it is known, for ``theoretical-min``.

    Raises
    ------
    UsageError
        The weights are not those of these runs.
    """
    branches = list(runs)
    shares = fusion.shares(branches)
    used = [at for at, share in enumerate(shares) if share > 0]
    lowest = [(bounds or {}).get(branches[at]) for at in used]
    qids = dict.fromkeys(qid for at in used for qid in runs[branches[at]].rankings)
    rankings = {}
    for topic in topics_of([runs[branches[at]] for at in used], qids):
        pool = topic.pool(fusion.depth or k, range(len(used)))
        fused = fuse(pool, fusion, [shares[at] for at in used], lowest)
        rankings[topic.qid] = topic.ranking(fused, k)
    return Run(name, rankings)
