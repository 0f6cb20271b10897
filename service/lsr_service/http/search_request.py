"""The search of a request: its branches, its fusion, its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.errors import UsageError
from lsr_service.engine.engine import Engine, ServedIndex
from lsr_service.http import answers, models

if TYPE_CHECKING:
    from lsr_index.hybrid import Mode, QueryParts, Reranking
    from lsr_index.search.cluster_selection import Selection
    from lsr_index.search.execute import Cancel


def search(
    engine: Engine, name: str, body: models.SearchRequest, cancel: Cancel
) -> models.SearchResponse:
    """Return the answer to a search request; raises LsrError for one that cannot be answered."""
    from lsr_index.hybrid import Feedback

    retriever = engine.retriever(name)
    fitted = engine.get(name).fusion
    unasked = body.mode is None and fitted is not None and body.query is not None
    plain = body.plain and not unasked
    mode = body.mode or _default_mode(body, unasked)
    if mode != "sparse" and retriever.index.dense is None:
        raise UsageError(f"index {name} has no dense vectors; search it with mode sparse")
    found = retriever.search(
        _query(body),
        body.k,
        offset=body.offset,
        mode=mode,
        fusion=fitted if body.fusion is None else body.fusion.fusion(),
        filter=body.filter,
        cancel=cancel,
        feedback=None if body.feedback is None else Feedback(**body.feedback.model_dump()),
        rerank=None if body.rerank is None else _reranking(engine, body.rerank),
        selection=_selection(engine.get(name), body.selective),
        explain=body.explain,
    )
    return answers.search_response(name, retriever.index, found, plain=plain)


def _query(body: models.SearchRequest) -> QueryParts:
    from lsr.sparse import SparseBatch
    from lsr_index.hybrid import QueryParts

    dense = None if body.dense_vector is None else np.array(body.dense_vector, np.float32)
    if body.vector is None:
        return QueryParts(body.query, body.tokens, dense)
    entries = zip(body.vector.indices, body.vector.values, strict=True)
    return QueryParts(body.query, SparseBatch.from_rows([dict(entries)]), dense)


def _default_mode(body: models.SearchRequest, unasked: bool) -> Mode:
    if body.fusion is not None or body.selective or unasked:
        return "hybrid"
    sparse = (body.query, body.tokens, body.vector)
    alone = body.dense_vector is not None and all(given is None for given in sparse)
    return "dense" if alone else "sparse"


def _selection(served: ServedIndex, asked: bool | None) -> Selection | None:
    if asked and served.selection is None:
        raise UsageError(
            f"this server has no selection for index {served.name}; start it with --selective FILE"
        )
    return None if asked is False else served.selection


def _reranking(engine: Engine, depth: int) -> Reranking:
    from lsr_index.hybrid import Reranking

    if engine.reranker is None:
        raise UsageError("this server has no cross-encoder; start it with --rerank MODEL")
    return Reranking(engine.reranker.score, depth)
