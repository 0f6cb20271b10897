"""Grid of fusion settings, and the measure of every topic with each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.progress import Progress
from lsr.trec.measures import measure_run
from lsr.trec.qrels import Qrels
from lsr.trec.runs import Ranking, Run
from lsr_eval.fusion_fitting.bagging import weight_grid
from lsr_eval.fusion_fitting.topics import Scorer, Topic
from lsr_index.fusion import Fusion
from lsr_index.fusion.combine import Pool, fuse
from lsr_index.fusion.method import Absent
from lsr_index.fusion.methods import METHODS

Values = NDArray[np.float64]

DEPTHS = (100, 1000)


def methods_to_try(*, bounds_known: bool) -> list[Fusion]:
    """Return the methods that fitting chooses among, the preferred ones first.

    The order of those of this package is what they gained, on average, on topics held out of the
    collections in docs/hybrid.md. A method that needs the least scores of branches is not tried
    where these are not known: with those of the lists in their place it is another method.
    """
    tried = [m for m in METHODS.values() if m.fitting_order is not None]
    return [
        Fusion(method.name, parameters=values)
        for method in sorted(tried, key=lambda m: m.fitting_order or 0)
        if bounds_known or not method.needs_bound
        for values in method.fitting
    ]


@dataclass(frozen=True)
class Measured:
    """Measure of every topic with every setting.

    Attributes
    ----------
    families : sequence of Fusion
        Without weights, the preferred ones first.
    grid : (n_points, n_branches) float64
        Weights.
    values : (n_families, n_points, n_topics) float64
    single : (n_branches, n_topics) float64
        The measure of each branch alone.
    """

    branches: Sequence[str]
    families: Sequence[Fusion]
    grid: Values
    values: Values
    single: Values

    def only(self, at: NDArray[np.intp]) -> Measured:
        """Return the measurements of some of the topics."""
        return replace(self, values=self.values[:, :, at], single=self.single[:, at])


class Bench:
    """Measures fusions of some branches on some topics.

    Parameters
    ----------
    bounds : sequence of float or None, (n_branches,)
        Least score of each branch.
    measure
        Of ir-measures.
    scorer : Scorer, optional
        Scores documents that a branch did not return; without it, they count as the branch's last.
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
        self._pools: dict[tuple[int, ...], list[Pool]] = {}
        self._pools_of: tuple[int, bool] | None = None
        self.measure = str(measure)
        cutoff = measure.params.get("cutoff")
        self._k = cutoff if isinstance(cutoff, int) else None

    def families(self) -> Iterator[Fusion]:
        """Yield the settings to choose from, without weights: preferred ones first."""
        longest = max((len(each.keys) for topic in self.topics for each in topic.lists), default=0)
        depths = [depth for depth in DEPTHS if depth < longest] or [DEPTHS[0]]
        if depths[-1] < longest and longest <= DEPTHS[-1]:
            depths.append(DEPTHS[-1])
        absent: Absent = "score" if self._scorer else "floor"
        for method in methods_to_try(bounds_known=None not in self.bounds):
            # Where no score can be had, a longer list says more of the documents it lacks.
            for depth in depths if self._scorer else depths[::-1]:
                yield replace(method, depth=depth, absent=absent)

    def measured(self, progress: Progress | None = None) -> Measured:
        """Measure all topics under all settings; ``progress("fit", done, total)``."""
        grid = weight_grid(len(self.branches))
        corners, is_corner = grid.argmax(axis=1), grid.max(axis=1) == 1
        families, single = list(self.families()), self._single()
        values = np.empty((len(families), len(grid), len(self.topics)))
        values[:, is_corner] = single[corners[is_corner]]
        # One pool after the other, as they are large.
        order = sorted(range(len(families)), key=lambda at: self._pool_key(families[at]))
        for done, at in enumerate(order):
            values[at, ~is_corner] = self.fused(families[at], grid[~is_corner])
            if progress is not None:
                progress("fit", done + 1, len(families))
        return Measured(self.branches, families, grid, values, single)

    def _single(self) -> Values:
        """Return the measure of each branch alone, (n_branches, n_topics)."""
        found = []
        for branch in range(len(self.branches)):
            rankings = {}
            for topic in self.topics:
                keys, scores = topic.lists[branch].keys, topic.lists[branch].scores
                doc_ids = [topic.doc_ids[key] for key in keys[: self._k]]
                rankings[topic.qid] = Ranking.of(doc_ids, scores[: self._k])
            found.append(self._values(rankings))
        return np.stack(found)

    def fused(
        self,
        family: Fusion,
        grid: Sequence[Sequence[float]] | Values,
        at: Sequence[int] | None = None,
    ) -> Values:
        """Return the measure of a family with each row of weights, (n_points, n_topics) float64.

        `grid` is (n_points, n_branches), `at` the positions of the topics: all of them by default.
        """
        topics = range(len(self.topics)) if at is None else at
        found = []
        for shares in grid:
            # As in a search, a branch of weight 0 has no part.
            used = [branch for branch, share in enumerate(shares) if share > 0]
            pools = self._pools_for(family, used)
            weights = [float(shares[branch]) for branch in used]
            bounds = [self.bounds[branch] for branch in used]
            rankings = {}
            for i in topics:
                fused = fuse(pools[i], family, weights, bounds)
                rankings[self.topics[i].qid] = self.topics[i].ranking(fused, self._k)
            found.append(self._values(rankings))
        return np.stack(found)

    def _pool_key(self, family: Fusion) -> tuple[int, bool]:
        return family.depth_for(self._k or 0), family.scores_absent

    def _pools_for(self, family: Fusion, used: Sequence[int]) -> list[Pool]:
        key = depth, scored = self._pool_key(family)
        if key != self._pools_of:
            self._pools_of = key
            self._pools.clear()
        if tuple(used) not in self._pools:
            scorer = self._scorer if scored else None
            self._pools[tuple(used)] = [
                topic.pool(depth, used, self.branches, scorer) for topic in self.topics
            ]
        return self._pools[tuple(used)]

    def _values(self, rankings: Mapping[str, Ranking]) -> Values:
        qrels = {qid: self._qrels[qid] for qid in rankings}
        measured = measure_run(Run("bench", rankings), qrels, [self._measure])
        return measured.per_topic[str(self._measure)]
