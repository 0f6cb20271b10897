"""Options of hybrid search that several commands share, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from lsr.errors import UsageError
from lsr_index.fusion.methods import METHODS

if TYPE_CHECKING:
    from lsr_index.hybrid import Branch, Retriever


class Mode(StrEnum):
    """Which vectors are searched."""

    SPARSE = "sparse"
    DENSE = "dense"
    HYBRID = "hybrid"


ModeOption = Annotated[
    Mode | None,
    Option(
        "--mode",
        help="Which vectors to search. Default: sparse; hybrid with --fusion, --with or "
        "--selective.",
        show_default=False,
    ),
]
FusionOption = Annotated[
    str | None,
    Option(
        "--fusion",
        metavar="METHOD[:PARAMETERS]|FILE",
        help=f"{', '.join(METHODS)}; as in rrf:k=20 or "
        "min-max:sparse=0.4,dense=0.6,depth=200; or a file of lsr fit-fusion.",
    ),
]
With = Annotated[
    list[Path] | None,
    Option(
        "--with",
        metavar="INDEX",
        help="Fuse with this index of the same documents; can be repeated.",
    ),
]
Selective = Annotated[
    Path | None,
    Option(
        "--selective",
        metavar="FILE",
        help="Compare only the dense vectors that sparse results point at, as a file of "
        "lsr fit-selection says.",
    ),
]
FeedbackOption = Annotated[
    str | None,
    Option(
        "--feedback",
        metavar="METHOD[:PARAMETERS]",
        help="Pseudo-relevance feedback from the first hits: rocchio or average, as in "
        "average:docs=3,source=own.",
    ),
]
Rerank = Annotated[
    str | None,
    Option("--rerank", metavar="MODEL", help="Rerank the first hits with this cross-encoder."),
]
RerankDepth = Annotated[
    int,
    Option(
        "--rerank-depth", min=1, max=1000, metavar="N", help="Number of hits that --rerank scores."
    ),
]


@dataclass(frozen=True)
class HybridOptions:
    """What the options ask for.

    Attributes
    ----------
    mode : Mode
    fusion, feedback, rerank : str or None
        As they were given.
    rerank_depth : int
    selective : Path or None
        A file of ``lsr fit-selection``.
    also : sequence of Path
        Further indexes.
    """

    mode: Mode
    fusion: str | None = None
    feedback: str | None = None
    rerank: str | None = None
    rerank_depth: int = 50
    selective: Path | None = None
    also: Sequence[Path] = ()

    @classmethod
    def of(
        cls,
        mode: Mode | None,
        fusion: str | None = None,
        also: Sequence[Path] | None = None,
        selective: Path | None = None,
        **more: Any,
    ) -> HybridOptions:
        """Put options together; refuse those that contradict each other.

        Raises
        ------
        UsageError
        """
        options = {"--fusion": fusion, "--with": also or None, "--selective": selective}
        together = next((name for name, value in options.items() if value is not None), None)
        if mode is None:
            mode = Mode.HYBRID if together else Mode.SPARSE
        elif mode is not Mode.HYBRID and together:
            raise UsageError(f"{together} needs several branches; use it with --mode hybrid")
        return cls(mode, fusion, also=tuple(also or ()), selective=selective, **more)

    @property
    def plain(self) -> bool:
        """Whether a search of the sparse vectors is all there is to do."""
        return self.mode is Mode.SPARSE and not (self.feedback or self.rerank)

    def arguments(self, retriever: Retriever) -> dict[str, Any]:
        """Return the keyword arguments of `Retriever.search`; loads what they name.

        Raises
        ------
        LsrError
            A missing branch, a fusion that does not fit the branches, a model that is none.
        """
        from lsr_index.hybrid import parse_feedback

        branches = retriever.chosen(self.mode.value)
        fusion = self._fusion(branches)
        for branch in branches:
            if fusion is None or fusion.weights is None or fusion.weights[branch.name] > 0:
                branch.load()
        return {
            "mode": self.mode.value,
            "fusion": fusion,
            "feedback": None if self.feedback is None else parse_feedback(self.feedback),
            "rerank": self._reranking(),
            "selection": self._selection(branches),
        }

    def _selection(self, branches: list[Branch]) -> Any:
        if self.selective is None:
            return None
        from lsr_index.hybrid import read_selection

        artefact = read_selection(self.selective)
        for branch in branches:
            if branch.kind == "dense":
                artefact.check(branch.index, self.selective)
        return artefact.selection

    def _fusion(self, branches: list[Branch]) -> Any:
        from lsr_index.fusion import fusion_of
        from lsr_index.hybrid import identities

        return None if self.fusion is None else fusion_of(self.fusion, identities(branches))

    def _reranking(self) -> Any:
        if self.rerank is None:
            return None
        from lsr.encoders.neural.cross_encoder import CrossEncoder
        from lsr_index.hybrid import Reranking

        return Reranking(CrossEncoder(self.rerank).score, self.rerank_depth)
