"""The routes that change an index, for a server started with --writable.

Answers come after the commit: the change is durable, and visible to every later search.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from lsr.errors import UsageError
from lsr_service.engine.admission import DeadlineError, WorkPool
from lsr_service.engine.change_queue import Change, ChangeQueue, ChangesClosedError
from lsr_service.engine.changes import Changes
from lsr_service.http import models
from lsr_service.http.answers import as_json
from lsr_service.http.documents import MEDIA_TYPES, read_documents
from lsr_service.http.errors import ApiError, invalid
from lsr_service.http.limits import check_filter
from lsr_service.http.strict_json import BulkRoute, media_type
from lsr_service.settings import Limits

if TYPE_CHECKING:
    from lsr_index.update.text_writer import IndexUpdater

_STATUSES = {
    400: "The body is nested too deeply.",
    403: "This server takes no changes.",
    404: "No such index or document.",
    409: "Another process writes to this index.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    422: "The request is not valid; nothing was applied.",
    429: "Too many changes wait; nothing was applied, try again.",
    503: "The index cannot be changed now; whether the change was applied is unknown.",
    504: "It took too long; whether the change was applied is unknown.",
    507: "The disk is full; nothing was applied.",
}


def _errors(*more: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": models.ErrorResponse, "description": _STATUSES[status]}
        for status in (403, 404, 409, 422, 429, 503, 504, 507, *more)
    }


_BATCH_SCHEMA = {
    "type": "object",
    "required": ["documents"],
    "additionalProperties": False,
    "properties": {
        "documents": {
            "type": "array",
            "minItems": 1,
            "description": "Each id once.",
            "items": models.NewDocument.model_json_schema(),
        }
    },
}

router = APIRouter(route_class=BulkRoute, tags=["changes"])


@router.put(
    "/v1/indexes/{name}/docs",
    response_model=models.ChangeResponse,
    responses=_errors(400, 413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                MEDIA_TYPES[0]: {"schema": _BATCH_SCHEMA},
                MEDIA_TYPES[1]: {"schema": {"type": "string", "description": "A document a line."}},
            },
        }
    },
)
async def put_documents(name: str, request: Request) -> Response:
    """Add documents, or put them in place of those with their ids; all of them or none."""
    limits = _limits(request)
    with _place(request, name) as changes:
        kind = media_type(request)
        if kind not in MEDIA_TYPES:
            raise ApiError(415, f"send documents as {' or '.join(MEDIA_TYPES)}")
        body = await request.body()
        pool: WorkPool = request.app.state.pool
        documents = await pool.run(
            lambda: read_documents(body, kind, limits), limits.change_deadline_ms / 1e3
        )
        work = changes.submit(lambda updater: updater.add_batch(documents), len(body))
        change = await _done(request, work)
    return _changed(name, change)


@router.delete(
    "/v1/indexes/{name}/docs/{id:path}", response_model=models.ChangeResponse, responses=_errors()
)
async def delete_document(name: str, id: str, request: Request) -> Response:
    """Delete a document by its id."""
    with _place(request, name) as changes:
        change = await _done(request, changes.submit(lambda updater: updater.delete([id])))
    if change.n_changed == 0:
        raise ApiError(404, "the index has no document of this id")
    return _changed(name, change)


@router.post(
    "/v1/indexes/{name}/delete",
    response_model=models.ChangeResponse,
    responses=_errors(400, 413, 415),
)
async def delete_where(name: str, body: models.DeleteRequest, request: Request) -> Response:
    """Delete all documents whose metadata pass a filter."""
    check_filter(body.filter)

    def work(updater: IndexUpdater) -> int:
        try:
            return updater.delete_where(body.filter, allow_all=body.all)
        except UsageError as error:
            raise invalid(["body", "filter"], str(error)) from None

    with _place(request, name) as changes:
        return _changed(name, await _done(request, changes.submit(work)))


@router.post(
    "/v1/indexes/{name}/compact",
    response_model=models.CompactResponse,
    responses=_errors(400, 413, 415),
)
async def compact(name: str, body: models.CompactRequest, request: Request) -> Response:
    """Merge an index into one segment; searches and changes go on. Answers when it is done."""
    with _place(request, name) as changes:
        change = await asyncio.wrap_future(changes.compact(body.reorder))
    return as_json(
        models.CompactResponse(
            index=name,
            generation=change.generation,
            n_docs=change.n_docs,
            changed=bool(change.n_changed),
        )
    )


@contextmanager
def _place(request: Request, name: str) -> Iterator[ChangeQueue]:
    """Yield the queue of an index, and count the change as admitted meanwhile."""
    changes: Changes = request.app.state.changes
    found = changes.queue(name)
    if request.app.state.draining:
        raise ChangesClosedError("the server is shutting down")
    changes.enter(name)
    try:
        yield found
    finally:
        changes.leave(name)


async def _done(request: Request, future: Future[Change]) -> Change:
    try:
        deadline_s = _limits(request).change_deadline_ms / 1e3
        return await asyncio.wait_for(asyncio.wrap_future(future), deadline_s)
    except TimeoutError:
        raise DeadlineError from None


def _limits(request: Request) -> Limits:
    limits: Limits = request.app.state.settings.limits
    return limits


def _changed(name: str, change: Change) -> Response:
    return as_json(models.ChangeResponse(index=name, **change._asdict()))
