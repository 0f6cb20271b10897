"""Fusion, feedback, reranking and selection by name, as users write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from lsr.errors import UsageError
from lsr_index.fusion import Fusion, fusion_of
from lsr_index.hybrid.branch import identities
from lsr_index.hybrid.feedback import Feedback, parse_feedback
from lsr_index.hybrid.results import Mode
from lsr_index.hybrid.retriever import Retriever
from lsr_index.hybrid.run_branches import Reranking
from lsr_index.hybrid.selection import selection_for
from lsr_index.search.cluster_selection import Selection

FusionLike = str | Path | Fusion
FeedbackLike = str | Feedback
RerankLike = str | Path | Reranking | Callable[[str, Sequence[str]], Any]
SelectionLike = str | Path | Selection


class Named(TypedDict, total=False):
    """Keywords of `Retriever.search`."""

    fusion: Fusion | None
    feedback: Feedback | None
    rerank: Reranking | None
    selection: Selection | None


def named(
    retriever: Retriever,
    mode: Mode,
    fusion: FusionLike | None,
    feedback: FeedbackLike | None,
    rerank: RerankLike | None,
    rerank_depth: int,
    selection: SelectionLike | None,
) -> Named:
    """Return fusion, feedback, reranking and selection as objects.

    UsageError: an unknown name, a fusion or selection without mode "hybrid"; DataError or
    EncoderMismatchError: a malformed file, or one that was fitted to another index; ModelError or
    MissingDependencyError: the cross-encoder cannot be loaded.
    """
    if fusion is feedback is rerank is selection is None:
        return {}
    for what, value in (("fusion", fusion), ("selection", selection)):
        if value is not None and mode != "hybrid":
            raise UsageError(f'{what} needs sparse and dense vectors; search with mode="hybrid"')
    if isinstance(fusion, str | Path):
        fusion = fusion_of(str(fusion), identities(retriever.chosen(mode)))
    if isinstance(feedback, str):
        feedback = parse_feedback(feedback)
    if isinstance(selection, str | Path):
        selection = selection_for(selection, retriever.index)
    for what, part, kind in (
        ("fusion", fusion, Fusion),
        ("feedback", feedback, Feedback),
        ("selection", selection, Selection),
    ):
        if not isinstance(part, kind | None):
            raise UsageError(f"{what} must be a name or a {kind.__name__}, got {part!r}")
    reranking = _reranking(rerank, rerank_depth)
    return Named(fusion=fusion, feedback=feedback, rerank=reranking, selection=selection)


def _reranking(rerank: RerankLike | None, depth: int) -> Reranking | None:
    if rerank is None or isinstance(rerank, Reranking):
        return rerank
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise UsageError(f"rerank_depth must be a whole number from 1, got {depth!r}")
    if isinstance(rerank, str | Path):
        return Reranking(_cross_encoder(str(rerank)).score, depth)
    if not callable(rerank):
        raise UsageError(f"rerank must be a model or a function, got {type(rerank).__name__}")
    return Reranking(rerank, depth)


@lru_cache(maxsize=2)
def _cross_encoder(name: str) -> Any:
    from lsr.encoders.neural.cross_encoder import CrossEncoder

    return CrossEncoder(name)
