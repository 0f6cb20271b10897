"""`ChangeQueue`: a thread that changes one index, with one commit for all changes that wait.

The thread runs the waiting changes in the order they came, commits once, lets searches see the new
state, and then answers each change. Segments are merged on another thread.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lsr.errors import CommitOutcomeError, IndexStateError, LsrError, StorageFullError, UsageError
from lsr_service.engine.engine import Engine

if TYPE_CHECKING:
    from lsr_index.update.text_writer import IndexUpdater

MAX_SEGMENTS = 64
"""Segments of an index above which additions are rejected, since merging has fallen behind."""

_logger = logging.getLogger("lsr.changes")


class ChangesOverloadedError(RuntimeError):
    """Too many changes of this index wait already."""


class ChangesClosedError(IndexStateError):
    """The server is shutting down and takes no more changes."""


class Change(NamedTuple):
    """A committed change: the generation that holds it, its documents, and how many changed."""

    generation: int
    n_docs: int
    n_changed: int


@dataclass
class _Task:
    work: Callable[[IndexUpdater], int]
    n_bytes: int = 0
    answer: Future[Change] = field(default_factory=Future)


class _StopError(Exception):
    """Ends a merge when the server does."""


class ChangeQueue:
    """The changes of one index of an engine, whose searches see every new state.

    Documents have at most `max_terms` terms, and are rejected where the disk has less free space
    than `free_bytes`.
    """

    def __init__(self, engine: Engine, name: str, *, max_terms: int, free_bytes: int) -> None:
        self._engine = engine
        self._name = name
        self._path = engine.get(name).path
        self._max_terms = max_terms
        self._free_bytes = free_bytes
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._updater: IndexUpdater | None = None
        self._mutex = threading.Lock()
        self._closed = self._reopening = False
        self._merging = threading.Lock()
        self._merger = ThreadPoolExecutor(1, thread_name_prefix=f"merge-{name}")
        self._thread = threading.Thread(target=self._run, name=f"changes-{name}", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[IndexUpdater], int], n_bytes: int = 0) -> Future[Change]:
        """Queue work that changes the index and returns how many documents it changed.

        Work that raises changes nothing. `n_bytes` is about the space that it needs on the disk.

        Raises
        ------
        ChangesOverloadedError
            Merging has fallen behind.
        ChangesClosedError
        """
        if n_bytes and len(self._engine.retriever(self._name).index.segments) > MAX_SEGMENTS:
            raise ChangesOverloadedError
        task = _Task(work, n_bytes)
        with self._mutex:
            if self._closed:
                raise ChangesClosedError("the server is shutting down")
            self._tasks.put(task)
        return task.answer

    def take_lock(self) -> None:
        """Lock the index for writing; a failure is logged, and the first change tries again."""
        try:
            self.submit(_load_encoder).result()
        except (LsrError, OSError) as error:
            _logger.warning("index %s: %s", self._name, error)

    def compact(self, reorder: bool | None) -> Future[Change]:
        """Merge all segments into one, while changes go on."""

        def work() -> Change:
            self.submit(_nothing).result()  # opens the updater where it is not
            updater = self._updater
            if updater is None:
                raise ChangesClosedError("the index was closed meanwhile")
            try:
                with self._merging:
                    changed = updater.compact(reorder=reorder, progress=self._stop_when_closed)
            except _StopError:
                raise ChangesClosedError("the server is shutting down") from None
            return self.submit(_nothing).result()._replace(n_changed=int(changed))

        return self._merger.submit(work)

    def close(self) -> None:
        """Commit the changes that wait, reject further ones, release the lock."""
        with self._mutex:
            self._closed = True
            self._tasks.put(None)
        self._thread.join()
        self._merger.shutdown(wait=True, cancel_futures=True)
        self._close_updater()

    def _run(self) -> None:
        while True:
            tasks, last = self._waiting()
            if tasks:
                self._carry_out(tasks)
            if last:
                return

    def _waiting(self) -> tuple[list[_Task], bool]:
        """Return all tasks that wait, at least one, and whether they are the last ones."""
        taken = [self._tasks.get()]
        with suppress(queue.Empty):
            while taken[-1] is not None:
                taken.append(self._tasks.get_nowait())
        tasks = [task for task in taken if task is not None]
        # A task whose client has been told that it takes too long is skipped.
        kept = [task for task in tasks if task.answer.set_running_or_notify_cancel()]
        return kept, taken[-1] is None

    def _carry_out(self, tasks: list[_Task]) -> None:
        done: list[tuple[_Task, int]] = []
        try:
            updater = self._open()
            for task in tasks:
                try:
                    self._require_space(task.n_bytes)
                    done.append((task, task.work(updater)))
                except Exception as error:
                    task.answer.set_exception(error)
            self._commit(updater, any(n for _, n in done))
        except BaseException as error:
            for task in tasks:
                if not task.answer.done():
                    task.answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        index = self._engine.retriever(self._name).index
        for task, n_changed in done:
            task.answer.set_result(Change(index.generation, index.n_docs, n_changed))

    def _commit(self, updater: IndexUpdater, changed: bool) -> None:
        if not changed:
            updater.rollback()
        try:
            updater.commit()
        except CommitOutcomeError:
            # Whether it happened is known when the index is opened again.
            self._close_updater()
            raise
        except BaseException:
            updater.rollback()
            raise
        self._show(updater)
        if changed:
            with suppress(RuntimeError):  # shutting down
                self._merger.submit(self._merge, updater)

    def _open(self) -> IndexUpdater:
        if self._updater is None:
            from lsr_index.update.text_writer import IndexUpdater

            self._updater = IndexUpdater(self._path, max_terms=self._max_terms)
            self._show(self._updater)
        return self._updater

    def _show(self, updater: IndexUpdater) -> None:
        """Let searches that start from now on see the last committed state."""
        shown = self._engine.retriever(self._name)
        if shown.index.generation != updater.generation:
            self._engine.show(self._name, updater.retriever(shown.encoder))

    def _merge(self, updater: IndexUpdater) -> None:
        try:
            merged = True
            while merged:
                with self._merging:
                    merged = updater.merge(progress=self._stop_when_closed)
                self.submit(_nothing)
        except (_StopError, ChangesClosedError):
            pass
        except Exception as error:
            _logger.warning("index %s: merging failed: %s", self._name, error)

    def _stop_when_closed(self, stage: str, done: int, total: int | None) -> None:
        if self._closed or self._reopening:
            raise _StopError

    def _require_space(self, n_bytes: int) -> None:
        if n_bytes and shutil.disk_usage(self._path).free < max(self._free_bytes, 2 * n_bytes):
            raise StorageFullError("the disk has too little room for more documents")

    def _close_updater(self) -> None:
        updater, self._updater = self._updater, None
        if updater is not None:
            # A merge must not go on once the lock is free for others.
            self._reopening = True
            with self._merging:
                updater.close()
            self._reopening = False


def _nothing(updater: IndexUpdater) -> int:
    return 0


def _load_encoder(updater: IndexUpdater) -> int:
    with suppress(UsageError):  # made of vectors: deleting works all the same
        updater.load_encoder()
    return 0
