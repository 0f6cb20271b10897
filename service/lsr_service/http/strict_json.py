"""Strict JSON request bodies.

The parser of the standard library accepts NaN, repeated keys, lone surrogates and any depth. Here
they raise: 400 for depth, 422 for the others; and a body beyond its limit raises 413 while it
arrives, whatever length it declares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from fastapi import Request, Response
from fastapi.routing import APIRoute

from lsr_service.http.errors import ApiError, invalid

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, closed or not: an unclosed one is matched to the end, so that the scan stays linear."""

_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(body: bytes, max_depth: int) -> Any:
    """Parse a request body.

    Raises ApiError: 400 for arrays and objects nested deeper than `max_depth`; 422 for text that is
    not JSON, NaN, a number that is too long, a repeated key or a lone surrogate.
    """
    if _is_deeper(body, max_depth):
        raise ApiError(400, f"the body is nested deeper than {max_depth} levels")
    try:
        value = json.loads(
            body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique_keys
        )
        if _SURROGATE_ESCAPE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise invalid(["body"], "a string holds half of a surrogate pair") from None
    except UnicodeDecodeError:
        raise invalid(["body"], "the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise invalid(["body", error.pos], "the body is not JSON") from None
    except ValueError as error:
        known = str(error) if isinstance(error, _StrictError) else "a number is too long"
        raise invalid(["body"], known) from None
    return value


class _StrictError(ValueError):
    pass


def _is_deeper(body: bytes, max_depth: int) -> bool:
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKET)
    if len(brackets) <= max_depth:
        return False
    opening = np.isin(np.frombuffer(brackets, np.uint8), np.frombuffer(b"[{", np.uint8))
    depths = np.cumsum(np.where(opening, 1, -1), dtype=np.int64)
    return int(depths.max()) > max_depth


def _no_constant(_: str) -> Any:
    raise _StrictError("NaN and Infinity are not JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise _StrictError("an object holds the same key twice")
    return unique


class StrictRequest(Request):
    """A request whose body is bounded, and parsed by `parse_json`."""

    async def body(self) -> bytes:
        """Return the body; raises ApiError 413 as soon as it is known to be too large."""
        if not hasattr(self, "_body"):
            name = getattr(self.scope.get("route"), "body_limit", "body_bytes")
            limit = getattr(self.app.state.settings.limits, name)
            declared = self.headers.get("content-length", "0")
            received = bytearray()
            if not declared.isdecimal() or int(declared) > limit:
                raise _too_large(limit)
            async for chunk in self.stream():
                received += chunk
                if len(received) > limit:
                    raise _too_large(limit)
            self._body = bytes(received)
        return self._body

    async def json(self) -> Any:
        """Return the parsed body."""
        body = await self.body()
        return parse_json(body, self.app.state.settings.limits.json_depth)


class StrictRoute(APIRoute):
    """A route with `StrictRequest`; bodies that are not declared as JSON raise 415."""

    body_limit = "body_bytes"

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with a `StrictRequest`."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            if self.body_field is not None and media_type(request) != "application/json":
                raise ApiError(415, "send the body as JSON, with Content-Type: application/json")
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


class BulkRoute(StrictRoute):
    """A route whose body holds many documents."""

    body_limit = "change_body_bytes"


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is larger than {limit} bytes")


def media_type(request: Request) -> str:
    """Return the declared media type of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
