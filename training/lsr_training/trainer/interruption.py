"""Ctrl-C between the steps of a run, not in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay a keyboard interrupt to the end of the block; a second one takes effect at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[Any] = []
    usual = signal.getsignal(signal.SIGINT)

    def hold(*arguments: Any) -> None:
        held.append(arguments)
        if len(held) > 1 and callable(usual):
            usual(*arguments)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if held and callable(usual):
        usual(*held[0])
