"""Task of a system in an experiment: topics, search settings, progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from lsr.errors import UsageError
from lsr.progress import Progress
from lsr.trec.runs import Ranking
from lsr_eval.collections.collection import JudgedCollection
from lsr_eval.measures.latency import Latency, measure_latency


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Search settings: `k` hits are kept per topic.

    Indexes of encoders are kept in `index_dir`, or in a temporary folder. Latency is measured with
    `latency_k` hits, one query at a time whatever `threads` is; 0: it is not measured.
    """

    k: int = 1000
    index_dir: Path | None = None
    corpus_options: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    latency_k: int = 10

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("threads", 1), ("latency_k", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} {getattr(self, name)}: expected {least} or more")


@dataclass(frozen=True, slots=True)
class Trial:
    """One system's part of an experiment."""

    collection: JudgedCollection
    settings: SearchSettings
    progress: Progress

    @property
    def depth(self) -> int:
        """Hits per search: one more where the query itself will be dropped, so that k remain."""
        return self.settings.k + self.collection.drop_query_id

    def ranking(self, query_id: str, doc_ids: Sequence[str], scores: ArrayLike) -> Ranking:
        """Return the hits of a topic, without the query itself where it is dropped."""
        ranking = Ranking.of(doc_ids, scores)
        if self.collection.drop_query_id:
            ranking = ranking.without(query_id).top(self.settings.k)
        return ranking

    def latency(self, search: Callable[[str, int], object]) -> Latency | None:
        """Time ``search(text, k)`` on the topics; None if latency is not measured."""
        if self.settings.latency_k == 0:
            return None
        self.progress("latency", 0, None)
        texts = [query.text for query in self.collection.queries]
        return measure_latency(search, texts, k=self.settings.latency_k)
