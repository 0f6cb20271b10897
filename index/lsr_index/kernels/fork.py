"""Locks that a forked child finds free.

A child has only the thread that forked. A lock that another thread held at that moment would stay
locked in it for ever.
"""

from __future__ import annotations

import os
from typing import Any, TypeVar
from weakref import WeakSet

L = TypeVar("L")

_locks: WeakSet[Any] = WeakSet()


def freed_after_fork(lock: L) -> L:
    """Return `lock`, which every forked child finds free.

    What the lock protects may have been half changed when the process forked: only for caches and
    lazily loaded objects, which stay usable then.

    Parameters
    ----------
    lock : Lock or RLock
    """
    _locks.add(lock)
    return lock


def _free_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # as the threading module does with its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)
