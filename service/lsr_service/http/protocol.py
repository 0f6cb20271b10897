"""HTTP/1.1 with deadlines for the client.

uvicorn waits without a limit for a slow request, so that a few hundred silent sockets can use all
of its connections. Here the first byte, the headers, the body, and reading the answer each have a
deadline.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from lsr_service.settings import Deadlines

_Phase = Literal["first byte", "header", "body", "none"]

_TIMEOUT_RESPONSE = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class DeadlineProtocol(H11Protocol):
    """uvicorn's protocol, with one absolute deadline for each phase of a request."""

    deadlines = Deadlines()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase: _Phase = "none"
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first byte."""
        super().connection_made(transport)
        self._enter("first byte")

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and enter the phase that the request is in now."""
        super().data_received(data)
        self._enter(self._phase_now())

    def on_response_complete(self) -> None:
        """Enter the phase of the next request, which may have begun already."""
        super().on_response_complete()
        self._enter(self._phase_now())

    def pause_writing(self) -> None:
        """Start the deadline for reading the answer."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.deadlines.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the deadline for reading the answer."""
        super().resume_writing()
        self._cancel_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers."""
        self._enter("none")
        self._cancel_write_timer()
        super().connection_lost(exc)

    def _phase_now(self) -> _Phase:
        if self.transport.is_closing():
            return "none"
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            return "header"
        return "none"  # a request is being answered, or uvicorn's keep-alive timer is running

    def _enter(self, phase: _Phase) -> None:
        if phase == self._phase:
            return  # more bytes do not buy more time
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._phase = phase
        seconds = {
            "first byte": self.deadlines.first_byte_s,
            "header": self.deadlines.header_s,
            "body": self.deadlines.body_s,
        }.get(phase)
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._on_deadline)

    def _on_deadline(self) -> None:
        if self.transport.is_closing():
            return
        answering = self.cycle is not None and self.cycle.response_started
        if self._phase != "first byte" and not (answering and not self.cycle.response_complete):
            self.transport.write(_TIMEOUT_RESPONSE)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _cancel_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def deadline_protocol(deadlines: Deadlines) -> type[DeadlineProtocol]:
    """Return the protocol class with these deadlines."""
    return type("ConfiguredProtocol", (DeadlineProtocol,), {"deadlines": deadlines})
