"""`Follower`: a thread that opens new generations which other processes commit.

It lists the folders of all indexes, opens a newer generation, checks its new files, and shows it to
searches. A generation that cannot be opened is logged once; the old one is used further.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from lsr.errors import LsrError
from lsr_service.engine.engine import CHECKED_BYTES, Engine, ServedIndex

if TYPE_CHECKING:
    from lsr_index.hybrid import Retriever
    from lsr_index.search.index import Index

_logger = logging.getLogger("lsr.follower")


class NeedsRestartError(LsrError, RuntimeError):
    """A later state of an index that this server cannot show as it was started."""


class Follower:
    """Shows later generations of an engine's indexes, with a look every `seconds` until `close`."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self._failed: dict[str, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for an index that is being opened."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            self.look()

    def look(self) -> None:
        """Look at every index once."""
        for served in list(self._engine):
            if served.retriever is not None and not self._stopping.is_set():
                self._follow(served, served.retriever)

    def _follow(self, served: ServedIndex, shown: Retriever) -> None:
        from lsr_index.storage.directory import DISK
        from lsr_index.storage.manifest import generations

        newest = -1
        try:
            newest = generations(DISK, served.path)[-1]
            if newest in (shown.index.generation, self._failed.get(served.name)):
                return
            later = _opened(served, shown)
        except (LsrError, OSError) as error:
            if self._failed.get(served.name) != newest:
                self._failed[served.name] = newest
                generation = shown.index.generation
                _logger.error("index %s stays at generation %d: %s", served.name, generation, error)
            return
        self._failed.pop(served.name, None)
        if not self._engine.show(served.name, later, instead_of=shown):
            later.close()  # a commit of this server came first


def _opened(served: ServedIndex, shown: Retriever) -> Retriever:
    """Open the newest generation."""
    from lsr_index.search.index import open_index

    index = open_index(served.path)
    try:
        fitted = served.fusion is not None or served.selection is not None
        if fitted and _encoders(index) != _encoders(shown.index):
            raise NeedsRestartError(
                "its vectors are made by other encoders now, and the fusion or selection that the "
                "server was started with may not fit them; restart the server"
            )
        _check_new_files(index, shown.index)
        return shown.following(index)
    except BaseException:
        index.close()
        raise


def _encoders(index: Index) -> list[str | None]:
    dense = None if index.dense is None else index.dense.fingerprint
    return [None if each is None else each.digest for each in (index.fingerprint, dense)]


def _check_new_files(index: Index, shown: Index) -> None:
    """Compare the files that the shown generation has not with their checksums."""
    known = {container.entry for container in shown.containers()}
    new = [container for container in index.containers() if container.entry not in known]
    if sum(container.entry.length for container in new) <= CHECKED_BYTES:
        for container in new:
            container.check()
