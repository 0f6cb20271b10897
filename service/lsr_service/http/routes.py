"""The routes of version 1: search, indexes, documents, embeddings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Query, Request, Response

from lsr_service.engine.admission import WorkPool
from lsr_service.engine.engine import Engine
from lsr_service.http import answers, models
from lsr_service.http import search_request as searching
from lsr_service.http.errors import ApiError, invalid
from lsr_service.http.limits import check_embed, check_search
from lsr_service.http.strict_json import StrictRoute
from lsr_service.settings import ServerSettings

T = TypeVar("T")

_STATUSES = {
    400: "The body is nested too deeply.",
    404: "No such index or document.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    422: "The request is not valid.",
    503: "The server is busy or the index cannot answer; try again.",
    504: "The answer took too long.",
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {s: {"model": models.ErrorResponse, "description": _STATUSES[s]} for s in statuses}


router = APIRouter(route_class=StrictRoute)


@router.post(
    "/v1/indexes/{name}/search",
    response_model=models.SearchResponse,
    responses=_errors(400, 404, 413, 415, 422, 503, 504),
    tags=["search"],
)
async def search(name: str, body: models.SearchRequest, request: Request) -> Response:
    """Search an index by text, by term weights or by vector; one branch, or several fused."""
    settings: ServerSettings = request.app.state.settings
    from lsr_index.search.execute import Cancel

    check_search(body, settings.limits)
    engine = _engine(request)
    engine.retriever(name)  # an unknown one is refused before it waits for a thread
    cancel = Cancel()

    def work() -> Response:
        response = searching.search(engine, name, body, cancel)
        request.app.state.metrics.search_seconds.labels(name).observe(response.took_ms / 1e3)
        return answers.as_json(response)

    limit_ms = settings.limits.deadline_ms
    deadline_s = min(body.timeout_ms or limit_ms, limit_ms) / 1e3
    pool: WorkPool = request.app.state.pool
    return await pool.run(work, deadline_s, cancel.set)


@router.get("/v1/indexes", response_model=models.IndexList, tags=["indexes"])
async def list_indexes(request: Request) -> Response:
    """List the indexes of this server."""
    summaries = [answers.summary(served) for served in _engine(request)]
    return answers.as_json(models.IndexList(indexes=summaries))


@router.get(
    "/v1/indexes/{name}",
    response_model=models.IndexDetails,
    responses=_errors(404, 422, 503, 504),
    tags=["indexes"],
)
async def describe_index(name: str, request: Request) -> Response:
    """Return one index with its figures."""
    served = _engine(request).get(name)
    return await _run(request, lambda: answers.as_json(answers.details(served)))


@router.get(
    "/v1/indexes/{name}/docs/{id:path}",
    response_model=models.DocumentResponse,
    responses=_errors(404, 422, 503, 504),
    tags=["documents"],
)
async def get_document(name: str, id: str, request: Request) -> Response:
    """Return a stored document by its id."""
    index = _engine(request).retriever(name).index
    document = await _run(request, partial(index.document, id))
    if document is None:
        raise ApiError(404, "the index has no document of this id")
    return answers.as_json(models.DocumentResponse.model_validate(document))


@router.post(
    "/embed_sparse",
    response_model=list[list[models.TermWeight]],
    responses=_errors(400, 404, 413, 415, 422, 503, 504),
    tags=["embeddings"],
)
async def embed_sparse(
    body: models.EmbedRequest,
    request: Request,
    index: Annotated[
        str | None, Query(description="Whose encoder to use; needed where indexes differ in it.")
    ] = None,
) -> Response:
    """Encode texts as queries, in the shape of text-embeddings-inference."""
    texts = check_embed(body, request.app.state.settings.limits)
    encoder = _encoder_for(_engine(request), index)

    def work() -> Response:
        vectors = encoder.encode_queries(texts)
        rows = [
            [
                {"index": index, "value": value}
                for index, value in zip(indices.tolist(), values.tolist(), strict=True)
            ]
            for indices, values in map(vectors.row, range(vectors.n_rows))
        ]
        return Response(orjson.dumps(rows), media_type="application/json")

    return await _run(request, work)


def _encoder_for(engine: Engine, name: str | None) -> Any:
    if name is not None:
        encoder = engine.retriever(name).encoder
        if encoder is None:
            raise invalid(["query", "index"], "this index was made of vectors and has no encoder")
        return encoder
    retrievers = [served.retriever for served in engine if served.retriever is not None]
    encoders = {r.encoder.fingerprint.digest: r.encoder for r in retrievers if r.encoder}
    if len(encoders) != 1:
        reason = "no index has an encoder" if not encoders else "the indexes differ in encoder"
        raise invalid(["query", "index"], f"{reason}; name one with ?index=")
    return next(iter(encoders.values()))


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _run(request: Request, work: Callable[[], T]) -> T:
    limit_ms = request.app.state.settings.limits.deadline_ms
    pool: WorkPool = request.app.state.pool
    return await pool.run(work, limit_ms / 1e3)
