"""Options of hybrid search, and the arguments of a search that they give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Option

from lsr.errors import UsageError
from lsr_index.fusion.methods import METHODS

if TYPE_CHECKING:
    from lsr_index.hybrid import Retriever


Mode = Literal["sparse", "dense", "hybrid"]
"""Which vectors are searched."""
ModeOption = Annotated[
    Mode | None,
    Option(
        help="Which vectors to search. Default: sparse; hybrid with --fusion, --with or "
        "--selective.",
        show_default=False,
    ),
]
FusionOption = Annotated[
    str | None,
    Option(
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
        metavar="FILE",
        help="Compare only the dense vectors that sparse results point at, as a file of "
        "lsr fit-selection says.",
    ),
]
FeedbackOption = Annotated[
    str | None,
    Option(
        metavar="METHOD[:PARAMETERS]",
        help="Pseudo-relevance feedback from the first hits: rocchio or average, as in "
        "average:docs=3,source=own.",
    ),
]
Rerank = Annotated[
    str | None, Option(metavar="MODEL", help="Rerank the first hits with this cross-encoder.")
]
RerankDepth = Annotated[
    int, Option(min=1, max=1000, metavar="N", help="Number of hits that --rerank scores.")
]


def mode_of(
    mode: Mode | None, fusion: str | None, also: Sequence[Path] | None, selective: Path | None
) -> Mode:
    """Return the mode of a search; raises UsageError where options contradict it."""
    options = {"--fusion": fusion, "--with": also or None, "--selective": selective}
    together = next((name for name, value in options.items() if value is not None), None)
    if mode is None:
        return "hybrid" if together else "sparse"
    if mode != "hybrid" and together:
        raise UsageError(f"{together} needs several branches; use it with --mode hybrid")
    return mode


def search_arguments(
    retriever: Retriever,
    mode: Mode,
    fusion: str | None,
    selective: Path | None,
    feedback: str | None,
    rerank: str | None,
    rerank_depth: int,
) -> dict[str, Any]:
    """Return keyword arguments of `Retriever.search`, and load the models that they need."""
    from lsr_index.hybrid import selection_for
    from lsr_index.hybrid.named import named

    branches = retriever.chosen(mode)
    selection = None
    if selective is not None:
        for branch in branches:
            if branch.kind == "dense":
                selection = selection_for(selective, branch.index)
    parts = named(retriever, mode, fusion, feedback, rerank, rerank_depth, selection)
    fused = parts.get("fusion")
    weights = None if fused is None else fused.weights
    for branch in branches:
        if weights is None or weights[branch.name] > 0:
            branch.load()
    return {"mode": mode, **parts}
