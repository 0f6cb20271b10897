"""The work of a search request: which branches, which fusion, and what the client gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsr.errors import UsageError
from lsr_service.engine.engine import Engine, ServedIndex
from lsr_service.http import answers, models

if TYPE_CHECKING:
    from lsr_index.hybrid import Mode, Reranking
    from lsr_index.search.cluster_selection import Selection
    from lsr_index.search.execute import Cancel


def search(
    engine: Engine, name: str, body: models.SearchRequest, cancel: Cancel
) -> models.SearchResponse:
    """Search an index of a server.

    Raises
    ------
    LsrError
        A branch or a model that is not there, or a query that a branch cannot encode.
    """
    retriever = engine.retriever(name)
    fitted = engine.get(name).fusion
    unasked = body.mode is None and fitted is not None and body.query is not None
    plain = body.plain and not unasked
    mode = body.mode or _default_mode(body, unasked)
    if mode != "sparse" and retriever.index.dense is None:
        raise UsageError(f"index {name} has no dense vectors; search it with mode sparse")
    found = retriever.search(
        answers.query_of(body),
        body.k,
        offset=body.offset,
        mode=mode,
        fusion=fitted if body.fusion is None else body.fusion.fusion(),
        filter=body.filter,
        cancel=cancel,
        feedback=None if body.feedback is None else _feedback(body.feedback),
        rerank=None if body.rerank is None else _reranking(engine, body.rerank),
        selection=_selection(engine.get(name), body.selective),
        explain=body.explain,
    )
    return answers.search_response(name, retriever.index, found, plain=plain)


def _default_mode(body: models.SearchRequest, unasked: bool) -> Mode:
    if body.fusion is not None or body.selective or unasked:
        return "hybrid"
    alone = body.dense_vector is not None and answers.has_no_query(body)
    return "dense" if alone else "sparse"


def _selection(served: ServedIndex, asked: bool | None) -> Selection | None:
    if asked and served.selection is None:
        raise UsageError(
            f"this server has no selection for index {served.name}; start it with --selective FILE"
        )
    return None if asked is False else served.selection


def _feedback(request: models.FeedbackRequest) -> Any:
    from lsr_index.hybrid import Feedback

    return Feedback(**request.model_dump())


def _reranking(engine: Engine, depth: int) -> Reranking:
    from lsr_index.hybrid import Reranking

    if engine.reranker is None:
        raise UsageError("this server has no cross-encoder; start it with --rerank MODEL")
    return Reranking(engine.reranker.score, depth)
