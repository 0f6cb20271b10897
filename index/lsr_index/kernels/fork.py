"""Locks that are free in a forked child.

A child has only the thread that forked; a lock that another thread held would stay locked forever.
"""

from __future__ import annotations

import os
from typing import Any, TypeVar
from weakref import WeakSet

L = TypeVar("L")

_locks: WeakSet[Any] = WeakSet()


def freed_after_fork(lock: L) -> L:
    """Return `lock`, a Lock or RLock, which every forked child finds free.

    The data under the lock may be half changed when the process forks: only for caches and lazily
    loaded objects, which stay usable then.
    """
    _locks.add(lock)
    return lock


def _free_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # as the threading module does with its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)
