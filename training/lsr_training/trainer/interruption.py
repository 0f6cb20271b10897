"""Ctrl-C, but not in the middle of an update."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back a keyboard interrupt until the block is done, so that weights stay whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[Any] = []
    usual = signal.signal(signal.SIGINT, lambda *arguments: held.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if held and callable(usual):
        usual(*held[0])
