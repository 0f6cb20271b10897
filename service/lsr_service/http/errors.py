"""Errors as HTTP answers: a status, a word for programs, a sentence for people.

Answers never hold what the client sent: NaN and lone surrogates cannot be written as JSON, and a
reflected value can attack a page that shows it.
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
"""Errors whose text clients can see; others may name paths or hold data."""

_LOAD_ERRORS: dict[type[Exception], tuple[int, str, int | None]] = {
    OverloadedError: (503, "the server is busy; try again shortly", 1),
    ChangesOverloadedError: (
        429,
        "too many changes of this index wait already; nothing was applied, try again",
        1,
    ),
    DeadlineError: (504, "the answer took too long", None),
}
"""Status, message, and seconds after which the client may try again."""

LOCATION_CHARS = 64


class ApiError(HTTPException):
    """A rejected request, with a message that is safe to show."""

    def __init__(self, status: int, message: str, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(status, message)
        self.details = list(details)


def invalid(location: Sequence[str | int], message: str) -> ApiError:
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
    word = _WORDS.get(status, "error")
    body = ErrorResponse(error=word, message=message, details=list(details), request_id=request_id)
    headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return Response(body.model_dump_json(), status, headers=headers, media_type="application/json")


def install(app: FastAPI) -> None:
    """Register a handler for everything a route may raise on purpose."""
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(LsrError, _on_lsr_error)
    for kind in _LOAD_ERRORS:
        app.add_exception_handler(kind, _on_load_error)


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
    if isinstance(error, DocumentError):
        return await _on_http_error(
            request, invalid(["body", "documents", error.position], error.problem)
        )
    own = isinstance(error, _OWN_SENTENCES)
    message = _without_paths(request, str(error)) if own else _WORDS[status].replace("_", " ")
    if isinstance(error, IndexLockedError):
        message = f"{_owner(error)} writes to this index; stop it, or wait for it"
    return error_response(status, message, request.state.request_id)


async def _on_load_error(request: Request, error: Exception) -> Response:
    status, message, retry_after_s = _LOAD_ERRORS[type(error)]
    return error_response(status, message, request.state.request_id, retry_after_s=retry_after_s)


def _without_paths(request: Request, message: str) -> str:
    """Replace the paths of indexes with their names."""
    served = sorted(request.app.state.engine, key=lambda each: -len(str(each.path)))
    for each in served:
        message = message.replace(str(each.path), each.name)
    return message


def _owner(error: IndexLockedError) -> str:
    """Return the process that holds a lock, without the path."""
    found = re.search(r"process (\d+)", str(error))
    return f"another process ({found[1]})" if found else "another process"


def _safe_location(location: Sequence[Any]) -> list[str | int]:
    """Return a location whose keys, which clients can make up, are short and valid UTF-8."""

    def safe(part: Any) -> int | str:
        if isinstance(part, int):
            return part
        return str(part).encode("utf-8", "replace").decode()[:LOCATION_CHARS]

    return [safe(part) for part in location]
