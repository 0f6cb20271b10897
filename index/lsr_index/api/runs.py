"""`Runs`: the rankings of many queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lsr_index.hybrid.results import RankedIds
from lsr_index.hybrid.tables import data_frame, trec_run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Runs(Mapping[str, RankedIds]):
    """The rankings of a batch search, by query id, in the order of the queries.

    Attributes
    ----------
    rankings : mapping of str to RankedIds
    took_ms : float
        Wall time of encoding and search, in milliseconds.

    Examples
    --------
    >>> runs = index.search_batch({"q1": "bitter tea"}, k=10)
    >>> runs["q1"].ids
    ['1']
    >>> print(runs.to_trec(), end="")  # doctest: +ELLIPSIS
    q1 Q0 1 1 ... lsr
    """

    rankings: Mapping[str, RankedIds]
    took_ms: float

    def __getitem__(self, qid: str) -> RankedIds:
        return self.rankings[qid]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rankings)

    def __len__(self) -> int:
        return len(self.rankings)

    def __repr__(self) -> str:
        exact = "exact" if self.rank_safe else f"approximate, gap at most {self.bound_gap:.4g}"
        hits = sum(len(ranking) for ranking in self.rankings.values())
        return f"<Runs: {len(self):,} queries, {hits:,} hits in {self.took_ms:.1f} ms, {exact}>"

    @property
    def rank_safe(self) -> bool:
        """Whether every ranking is exactly what an exhaustive scan returns."""
        return all(ranking.rank_safe for ranking in self.rankings.values())

    @property
    def bound_gap(self) -> float:
        """The largest gap of any ranking; 0 when all are exact."""
        return max((ranking.bound_gap for ranking in self.rankings.values()), default=0.0)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return ``{query id: {document id: score}}``, the input of ranx and pytrec_eval."""
        return {
            qid: dict(zip(ranking.ids, ranking.scores.tolist(), strict=True))
            for qid, ranking in self.rankings.items()
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each hit, with columns ``query_id``, ``rank``, ``doc_id``, ``score``.

        Raises MissingDependencyError without pandas.
        """
        rows = [
            {"query_id": qid, "rank": rank, "doc_id": doc_id, "score": float(score)}
            for qid, ranking in self.rankings.items()
            for rank, (doc_id, score) in enumerate(zip(ranking.ids, ranking.scores, strict=True), 1)
        ]
        return data_frame(rows, ("query_id", "rank", "doc_id", "score"))

    def to_trec(self, path: Path | str | None = None, *, tag: str = "lsr") -> str:
        """Return the lines of a TREC run named `tag`, and write them to `path` if there is one.

        Hits are in the order of trec_eval: score in single precision descending, then id
        descending. Raises UsageError for an id or tag with white space, or a missing folder.
        """
        rankings = {qid: (each.ids, each.scores) for qid, each in self.rankings.items()}
        return trec_run(rankings, path, tag)
