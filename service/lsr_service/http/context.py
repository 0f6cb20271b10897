"""`RequestContext`: the id of each request, host check, headers, metrics and the log line.

The outermost ASGI middleware. The log line holds the route, never the query or a document.
"""

from __future__ import annotations

import logging
import re
import time
import traceback
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lsr_service.http.errors import error_response
from lsr_service.http.metrics import Metrics
from lsr_service.settings import ServerSettings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

_logger = logging.getLogger("lsr.http")


class RequestContext:
    """Middleware that sets the id of each request and counts it."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self.app = app
        self.access_log = settings.access_log
        self.hosts = allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                answered["x-request-id"] = request_id
                for name, value in _HEADERS.items():
                    answered.setdefault(name, value)
            await send(message)

        try:
            if self.hosts is not None and _host(headers) not in self.hosts:
                message = "this server does not answer to this host name; see --allow-host"
                await error_response(421, message, request_id)(scope, receive, send_with_headers)
            else:
                await self.app(scope, receive, send_with_headers)
        except Exception as error:
            _log_without_data(request_id, error)
            if status == 0:
                message = "something went wrong here; the log has it under this request id"
                await error_response(500, message, request_id)(scope, receive, send_with_headers)
        finally:
            self._account(scope, status, time.perf_counter() - started, request_id)

    def _account(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        metrics: Metrics | None = getattr(scope["app"].state, "metrics", None)
        if metrics is not None:
            metrics.requests.labels(route, str(status)).inc()
            metrics.request_seconds.labels(route).observe(seconds)
        if self.access_log:
            method = scope["method"] if scope["method"].isalpha() else "?"
            _logger.info("%s %s %d %.1f ms %s", method, route, status, seconds * 1e3, request_id)


class HeadAsGet:
    """Middleware that answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_head)


def allowed_hosts(settings: ServerSettings) -> frozenset[str] | None:
    """Return the host names that a server accepts; None for all.

    A foreign web page can point a name of its own at the loopback address and read the answers of
    a local server. A server on loopback therefore accepts loopback names only.
    """
    from lsr_service.http.server import is_loopback

    if settings.allowed_hosts:
        return _LOOPBACK_NAMES | {name.lower() for name in settings.allowed_hosts}
    return _LOOPBACK_NAMES if is_loopback(settings.host) else None


def _host(headers: Headers) -> str:
    host = headers.get("host", "").lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _log_without_data(request_id: str, error: Exception) -> None:
    """Log the frames of an unexpected error without its message, which may hold a query."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    _logger.error("request %s failed: %s\n%s", request_id, type(error).__name__, frames)
