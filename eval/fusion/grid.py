"""The measure of every topic under every setting that fitting looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.fusion.topics import Scorer, Topic
from eval.measures import measure_run
from eval.qrels import Qrels
from eval.runs import Ranking, Run
from index.fusion import Fusion, Pool, fuse
from index.fusion.method import Absent

Values = NDArray[np.float64]

_METHODS = (
    Fusion("z-score"),
    Fusion("theoretical-min"),
    Fusion("min-max"),
    Fusion("rrf"),
    Fusion("rrf", k=10.0),
    Fusion("max"),
)
"""In the order of preference. ``dbsf`` is ``z-score`` up to documents that a branch lacks."""

DEPTHS = (100, 1000)


class Bench:
    """Measures fusions of some branches on some topics.

    Parameters
    ----------
    branches : sequence of str
    bounds : sequence of float or None, (n_branches,)
        Least score of each branch.
    topics : sequence of Topic
    qrels : mapping of qid to mapping of docno to grade
    measure
        Of ir-measures.
    scorer : Scorer, optional
        Gives the scores of documents that a branch did not return; without one, they count as its
        last.
    """

    def __init__(
        self,
        branches: Sequence[str],
        bounds: Sequence[float | None],
        topics: Sequence[Topic],
        qrels: Qrels,
        measure: Any,
        scorer: Scorer | None = None,
    ) -> None:
        self.branches = list(branches)
        self.bounds = list(bounds)
        self.topics = list(topics)
        self._qrels = {topic.qid: qrels[topic.qid] for topic in topics}
        self._measure = measure
        self._scorer = scorer
        self._known_pools: dict[tuple[int | None, bool], list[Pool]] = {}
        self.measure = str(measure)
        cutoff = measure.params.get("cutoff")
        self._k = cutoff if isinstance(cutoff, int) else None

    def only(self, at: Sequence[int]) -> Bench:
        """Return the bench of some of the topics."""
        topics = [self.topics[i] for i in at]
        qrels = {topic.qid: self._qrels[topic.qid] for topic in topics}
        return Bench(self.branches, self.bounds, topics, qrels, self._measure, self._scorer)

    def families(self) -> Iterator[Fusion]:
        """Yield the settings to choose among, but for weights: the preferred ones first."""
        longest = max((len(each.keys) for topic in self.topics for each in topic.lists), default=0)
        depths = [depth for depth in DEPTHS if depth < longest] or [DEPTHS[0]]
        if depths[-1] < longest and longest <= DEPTHS[-1]:
            depths.append(DEPTHS[-1])
        absent: Absent = "score" if self._scorer else "floor"
        for method in _METHODS:
            # Where no score can be had, a longer list says more of the documents it lacks.
            for depth in depths if self._scorer else depths[::-1]:
                yield replace(method, depth=depth, absent=absent)

    def single(self) -> Values:
        """Return the measure of each branch alone, (n_branches, n_topics)."""
        return np.stack(
            [
                self._values(
                    {
                        topic.qid: Ranking.of(
                            [topic.docnos[key] for key in topic.lists[at].keys[: self._k]],
                            topic.lists[at].scores[: self._k],
                        )
                        for topic in self.topics
                    }
                )
                for at in range(len(self.branches))
            ]
        )

    def fused(self, family: Fusion, grid: Sequence[Sequence[float]] | Values) -> Values:
        """Return the measure of a family with each row of weights, (n_points, n_topics)."""
        pools = self._pools(family)
        found = []
        for shares in grid:
            rankings = {
                topic.qid: topic.ranking(fuse(pool, family, shares, self.bounds), self._k)
                for topic, pool in zip(self.topics, pools, strict=True)
            }
            found.append(self._values(rankings))
        return np.stack(found)

    def _pools(self, family: Fusion) -> list[Pool]:
        scored = family.absent == "score" and family.method != "rrf"
        key = family.depth, scored
        if key not in self._known_pools:
            scorer = self._scorer if scored else None
            self._known_pools[key] = [
                topic.pool(family.depth, self.branches, scorer) for topic in self.topics
            ]
        return self._known_pools[key]

    def _values(self, rankings: Mapping[str, Ranking]) -> Values:
        measured = measure_run(Run("bench", rankings), self._qrels, [self._measure])
        return measured.per_topic[str(self._measure)]
