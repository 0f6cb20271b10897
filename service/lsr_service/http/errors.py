"""From what went wrong to a status, a word for programs and a sentence for people.

Answers never hold what the client sent: an echo of NaN or of half a surrogate pair cannot be
written as JSON, and a reflected value is a way to attack a page that shows it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from lsr.errors import (
    DataError,
    DocumentError,
    EncoderMismatchError,
    IndexFormatError,
    IndexLockedError,
    IndexStateError,
    LsrError,
    StorageFullError,
    UsageError,
)
from lsr_service.engine.admission import DeadlineError, OverloadedError
from lsr_service.engine.change_queue import ChangesOverloadedError
from lsr_service.engine.changes import ReadOnlyServerError
from lsr_service.engine.engine import UnavailableIndexError, UnknownIndexError
from lsr_service.http.models import ErrorDetail, ErrorResponse

_WORDS = {
    400: "bad_request",
    403: "read_only",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "index_locked",
    413: "body_too_large",
    415: "unsupported_media_type",
    421: "unknown_host",
    422: "invalid_request",
    429: "too_many_changes",
    500: "internal_error",
    503: "unavailable",
    504: "deadline_exceeded",
    507: "storage_full",
}

_STATUS_OF: tuple[tuple[type[LsrError], int], ...] = (
    (UnknownIndexError, 404),
    (ReadOnlyServerError, 403),
    (UsageError, 422),
    (DataError, 422),
    (EncoderMismatchError, 422),
    (StorageFullError, 507),
    (IndexLockedError, 409),
    (UnavailableIndexError, 503),
    (IndexStateError, 503),
    (IndexFormatError, 503),
)

_OWN_SENTENCES = (UnknownIndexError, UnavailableIndexError, ReadOnlyServerError, UsageError)
"""Errors whose text is made for clients; others may name paths or hold data."""

LOCATION_CHARS = 64


class ApiError(HTTPException):
    """A refused request, with a sentence that is safe to show.

    Parameters
    ----------
    status : int
    message : str
    details : sequence of ErrorDetail
    """

    def __init__(self, status: int, message: str, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(status, message)
        self.details = list(details)


def refuse(location: Sequence[str | int], message: str) -> ApiError:
    """Return the error for one wrong part of a request."""
    detail = ErrorDetail(location=list(location), message=message)
    return ApiError(422, "the request is not valid", [detail])


def error_response(
    status: int,
    message: str,
    request_id: str,
    details: Sequence[ErrorDetail] = (),
    retry_after_s: int | None = None,
) -> Response:
    """Return an error as every client gets it."""
    body = ErrorResponse(
        error=_WORDS.get(status, "error"),
        message=message,
        details=list(details),
        request_id=request_id,
    )
    headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return Response(body.model_dump_json(), status, headers=headers, media_type="application/json")


def install(app: FastAPI) -> None:
    """Register a handler for everything a route may raise on purpose."""
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(LsrError, _on_lsr_error)
    app.add_exception_handler(OverloadedError, _on_overload)
    app.add_exception_handler(ChangesOverloadedError, _on_too_many_changes)
    app.add_exception_handler(DeadlineError, _on_deadline)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    details = [
        ErrorDetail(
            location=_safe_location(e["loc"]), message=e["msg"].removeprefix("Value error, ")
        )
        for e in error.errors()
    ]
    return error_response(422, "the request is not valid", request.state.request_id, details)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = error.details if isinstance(error, ApiError) else ()
    message = error.detail if isinstance(error, ApiError) else _WORDS.get(error.status_code, "")
    response = error_response(
        error.status_code, message.replace("_", " "), request.state.request_id, details
    )
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _on_lsr_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LsrError)
    status = next((code for kind, code in _STATUS_OF if isinstance(error, kind)), 500)
    own = isinstance(error, _OWN_SENTENCES)
    message = _without_paths(request, str(error)) if own else _WORDS[status].replace("_", " ")
    if isinstance(error, DocumentError):
        refused = refuse(["body", "documents", error.position], error.problem)
        request_id = request.state.request_id
        return error_response(status, refused.detail, request_id, refused.details)
    if isinstance(error, IndexLockedError):
        message = f"{_owner(error)} writes to this index; stop it, or wait for it"
    return error_response(status, message, request.state.request_id)


async def _on_overload(request: Request, _: Exception) -> Response:
    message = "the server is busy; try again shortly"
    return error_response(503, message, request.state.request_id, retry_after_s=1)


async def _on_too_many_changes(request: Request, _: Exception) -> Response:
    message = "too many changes of this index wait already; nothing was applied, try again"
    return error_response(429, message, request.state.request_id, retry_after_s=1)


def _without_paths(request: Request, message: str) -> str:
    """Put the names of indexes in place of where they are on this machine."""
    served = sorted(request.app.state.engine, key=lambda each: -len(str(each.path)))
    for each in served:
        message = message.replace(str(each.path), each.name)
    return message


def _owner(error: IndexLockedError) -> str:
    """Return who holds a lock, without the path."""
    found = re.search(r"process (\d+)", str(error))
    return f"another process ({found[1]})" if found else "another process"


async def _on_deadline(request: Request, _: Exception) -> Response:
    return error_response(504, "the answer took too long", request.state.request_id)


def _safe_location(location: Sequence[Any]) -> list[str | int]:
    """Keep what names a place; a key that the client made up is cut and cleaned."""
    return [
        part
        if isinstance(part, int)
        else str(part).encode("utf-8", "replace").decode()[:LOCATION_CHARS]
        for part in location
    ]
