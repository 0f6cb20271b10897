"""A process that forks while its threads search: each child searches, and none may hang.

Arguments: the folder of an index with dense vectors, how many forks, seconds for a child.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from typing import Any

import numpy as np

from lsr.sparse import SparseBatch
from lsr_index.hybrid import QueryParts, Retriever, thread_pool
from lsr_index.search.index import open_index
from tests.index.dense.collections import DIMENSION

thread_pool.Delay.pays = lambda *_: True  # type: ignore[method-assign]  # always hand over


def search(retriever: Retriever, number: int) -> list[str]:
    """Search in every way that takes a lock or another thread."""
    dense = np.random.default_rng(number % 7).normal(size=DIMENSION).astype(np.float32)
    sparse = SparseBatch.from_rows([{number % 5: 1.0, (number + 1) % 5: 0.5}])
    modes: dict[str, Any] = {"filter": {"n": {"$lt": 40 + number % 3}}}
    parts = QueryParts(sparse=sparse, dense=dense)
    found = retriever.search(parts, k=5, mode="hybrid", **modes)
    retriever.index.search_batch(SparseBatch.from_rows([{1: 1.0}] * 8), k=5, threads=2)
    return [hit.id for hit in found.hits]


def child(retriever: Retriever, number: int, expected: list[str]) -> None:
    """Search and end, never to return to the caller."""
    try:
        os._exit(0 if search(retriever, number) == expected else 3)
    except BaseException:
        os._exit(4)


def wait(pid: int, seconds: float) -> int | None:
    """Return the exit code of a child, None (and end it) when it takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return None


def main(path: str, n_forks: int, seconds: float) -> None:
    """Fork while two threads search; print how the children ended."""
    retriever = Retriever.of(open_index(path))
    expected = [search(retriever, number) for number in range(21)]
    stop = threading.Event()

    def keep_searching() -> None:
        number = 0
        while not stop.is_set():
            search(retriever, number := number + 1)

    threads = [threading.Thread(target=partial(keep_searching), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    codes: list[int | None] = []
    for number in range(n_forks):
        pid = os.fork()
        if not pid:
            child(retriever, number % 21, expected[number % 21])
        codes.append(wait(pid, seconds))
    stop.set()
    sys.stdout.write(str({code: codes.count(code) for code in set(codes)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
