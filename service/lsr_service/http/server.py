"""The listening server and its shutdown.

The first signal makes ``/readyz`` answer 503; a moment later the server accepts no connection,
answers running requests, and exits with 0. A second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from lsr.errors import LsrError, UsageError
from lsr_service.http.protocol import deadline_protocol
from lsr_service.settings import ServerSettings


class BindError(LsrError, OSError):
    """The address cannot be listened on."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_private_address(settings: ServerSettings) -> None:
    """Raise UsageError for an address that other machines reach, without --insecure."""
    if not is_loopback(settings.host) and not settings.insecure:
        raise UsageError(
            f"--host {settings.host} lets other machines read and search these indexes"
            f"{', and change them' if settings.writable else ''}, and this server knows no users; "
            "put a proxy that does before it, or accept that with --insecure"
        )


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address; raises BindError where it is in use or not of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2_048)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BindError(
                f"port {port} on {host} is in use; stop what uses it or choose another with --port"
            ) from None
        raise BindError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of a listening socket for a browser."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server with this shutdown; calls `on_started` once it accepts connections."""

    def __init__(
        self, app: FastAPI, settings: ServerSettings, on_started: Callable[[], None]
    ) -> None:
        config = uvicorn.Config(
            app,
            http=deadline_protocol(settings.deadlines),
            ws="none",
            lifespan="on",
            loop="asyncio",
            log_config=None,
            access_log=False,
            limit_concurrency=settings.connections,
            timeout_graceful_shutdown=settings.shutdown_s,
            server_header=False,
            proxy_headers=False,
        )
        super().__init__(config)
        self._fastapi = app
        self._drain_delay_s = settings.drain_delay_s
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and call `on_started`."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM and SIGINT while the server runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.drain, number)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def drain(self, number: int = signal.SIGTERM) -> None:
        """Stop in order; called again, stop at once."""
        if self._fastapi.state.draining:
            self.should_exit = self.force_exit = True
            return
        self._fastapi.state.draining = True
        delay_s = self._drain_delay_s if number == signal.SIGTERM else 0.0
        asyncio.get_running_loop().call_later(delay_s, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def serve(
    app: FastAPI, settings: ServerSettings, listener: socket.socket, on_started: Callable[[], None]
) -> None:
    """Serve until a signal says to stop."""
    Server(app, settings, on_started).run(sockets=[listener])
