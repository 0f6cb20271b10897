"""The change queues of the indexes of a server."""

from __future__ import annotations

from lsr.errors import LsrError
from lsr_service.engine.change_queue import ChangeQueue, ChangesOverloadedError
from lsr_service.engine.engine import Engine


class ReadOnlyServerError(LsrError, PermissionError):
    """This server takes no changes."""


class Changes:
    """Change queues by index; none where the server is not `writable`.

    `waiting` limits the changes of an index that are received, wait or are committed at a time;
    `max_terms` and `free_bytes` are those of `ChangeQueue`.
    """

    def __init__(
        self, engine: Engine, *, writable: bool, waiting: int, max_terms: int, free_bytes: int
    ) -> None:
        self._engine = engine
        self._waiting = waiting
        names = [served.name for served in engine if served.retriever is not None]
        self._admitted = dict.fromkeys(names, 0)
        self._queues = {
            name: ChangeQueue(engine, name, max_terms=max_terms, free_bytes=free_bytes)
            for name in (names if writable else ())
        }
        self._writable = writable

    def take_locks(self) -> None:
        """Lock every index for writing that no other process writes to."""
        for each in self._queues.values():
            each.take_lock()

    def queue(self, name: str) -> ChangeQueue:
        """Return the queue of an index; raises ReadOnlyServerError, and as `Engine.retriever`."""
        self._engine.retriever(name)
        if not self._writable:
            raise ReadOnlyServerError("this server takes no changes; start it with --writable")
        return self._queues[name]

    def enter(self, name: str) -> None:
        """Take a place among the changes of an index; raises ChangesOverloadedError."""
        if self._admitted[name] >= self._waiting:
            raise ChangesOverloadedError
        self._admitted[name] += 1

    def leave(self, name: str) -> None:
        """Free the place."""
        self._admitted[name] -= 1

    def close(self) -> None:
        """Commit the changes that wait, and release the locks."""
        for each in self._queues.values():
            each.close()
