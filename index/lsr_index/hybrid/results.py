"""What a search returns: `SearchResults`, a sequence of `Hit`, and `RankedIds` for runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from lsr.records import Metadata
from lsr_index.fusion import Fusion
from lsr_index.fusion.combine import BranchScore
from lsr_index.hybrid.tables import data_frame, html_table, text_table, trec_run

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["sparse", "dense"]
Mode = Literal["sparse", "dense", "hybrid"]
"""Branches of a search: those of one kind, or all of them, fused."""


class TermContribution(NamedTuple):
    """What one matched term adds to the score of a hit."""

    term: str
    contribution: float


class Hit(NamedTuple):
    """One result.

    Attributes
    ----------
    rank : int
        Counted from 1 over the whole result, whatever page it is on.
    id : str
        The user's id of the document.
    score : float
    title, text : str
        Empty where the index stores no documents.
    metadata : mapping
    explanation : list of TermContribution or None
        With ``explain=True``: the matched terms, largest contribution first. In a sparse search
        they sum to the score; in a hybrid one they are those of the first sparse branch.
    branches : mapping of str to BranchScore or None
        With ``explain=True`` in a hybrid search: what each branch gave this hit, by its name.
    """

    rank: int
    id: str
    score: float
    title: str
    text: str
    metadata: Metadata
    explanation: list[TermContribution] | None = None
    branches: Mapping[str, BranchScore] | None = None

    def __repr__(self) -> str:
        title = f" {self.title!r}" if self.title else ""
        return f"<Hit {self.rank}: {self.id!r} {self.score:.4g}{title}>"


class BranchAnswer(NamedTuple):
    """Hits and work of one branch of a search.

    Attributes
    ----------
    name : str
    kind : {"sparse", "dense"}
    weight : float
        Its share; all shares sum to 1.
    n_hits : int
        Hits in the pool.
    rank_safe, bound_gap, generation, took_ms
        As in `SearchResults`, for the hits and index of this branch.
    n_compared : int or None
        Dense vectors compared with the query.
    """

    name: str
    kind: Kind
    weight: float
    n_hits: int
    rank_safe: bool
    bound_gap: float
    generation: int
    took_ms: float
    n_compared: int | None = None


@dataclass(frozen=True, slots=True)
class RankedIds:
    """Ids and scores of a ranking.

    Attributes
    ----------
    ids : list of str, (n,)
    scores : (n,) float64
        Descending.
    rank_safe, bound_gap
        As in `SearchResults`.
    """

    ids: list[str]
    scores: NDArray[np.float64]
    rank_safe: bool
    bound_gap: float

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, repr=False)
class SearchResults(Sequence[Hit]):
    """The hits of one query, a sequence of `Hit`.

    Attributes
    ----------
    hits : list of Hit
        Score descending, then order of insertion.
    rank_safe : bool
        True: exactly what an exhaustive scan returns; in a hybrid search in every branch.
    bound_gap : float
        By how much a document that is no hit can beat the last one; 0 when `rank_safe`. In a hybrid
        search the largest of any branch, in its own scores.
    generation : int
        State of the index; each commit adds one.
    unknown_terms : list of str
        Terms of the query that are not in the vocabulary; they match nothing.
    took_ms : float
        Wall time of encoding and search, in milliseconds.
    mode : {"sparse", "dense", "hybrid"}
    fusion : Fusion or None
        None for a single branch.
    branches : sequence of BranchAnswer
    pool_size : int
        Ranked documents; there are no hits beyond.
    """

    hits: list[Hit]
    rank_safe: bool
    bound_gap: float
    generation: int
    unknown_terms: list[str]
    took_ms: float
    mode: Mode
    fusion: Fusion | None
    branches: Sequence[BranchAnswer]
    pool_size: int

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, at: int) -> Hit: ...
    @overload
    def __getitem__(self, at: slice) -> list[Hit]: ...
    def __getitem__(self, at: int | slice) -> Hit | list[Hit]:
        return self.hits[at]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @property
    def summary(self) -> str:
        """One line: how many hits, in what time, fused how, and whether they are exact."""
        exact = "exact" if self.rank_safe else f"approximate, gap at most {self.bound_gap:.4g}"
        hits = "1 hit" if len(self.hits) == 1 else f"{len(self.hits)} hits"
        return f"{hits} in {self.took_ms:.1f} ms, {self._how}{exact}"

    @property
    def _how(self) -> str:
        if self.fusion is None:
            return "" if self.mode == "sparse" else f"{self.mode}, "
        shares = " + ".join(f"{branch.weight:.2g} {branch.name}" for branch in self.branches)
        return f"{self.fusion.method} of {shares}, "

    def __repr__(self) -> str:
        return text_table([hit[:5] for hit in self.hits], self.summary)

    def _repr_html_(self) -> str:
        return html_table([hit[:5] for hit in self.hits], self.summary)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row for each hit: rank, id, score, title, text and each metadata field.

        A metadata field with the name of a column gets the prefix ``metadata.``. Raises
        MissingDependencyError without pandas.
        """
        columns = ("rank", "id", "score", "title", "text")
        rows: list[dict[str, Any]] = []
        for hit in self.hits:
            row: dict[str, Any] = dict(zip(columns, hit[:5], strict=True))
            for name, value in hit.metadata.items():
                row[f"metadata.{name}" if name in columns else name] = value
            rows.append(row)
        return data_frame(rows, columns)

    def to_trec(self, path: Path | str | None = None, *, qid: str = "1", tag: str = "lsr") -> str:
        """Return the hits as lines of a TREC run named `tag`, and write them to an optional `path`.

        Raises UsageError for an id or tag with white space, or a missing folder.
        """
        ranking = [hit.id for hit in self.hits], [hit.score for hit in self.hits]
        return trec_run({qid: ranking}, path, tag)
