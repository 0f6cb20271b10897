"""A writer that is killed, again and again, on the real disk.

Run as a program: ``python -m tests.index.faults.killed FOLDER random|points COUNT SEED [dense]``.
The parent forks a child that opens the index and commits without end; it is killed by SIGKILL at a
random moment, or kills itself before or after its n-th operation on the disk (`points`). The parent
then reads the index and compares it with what the child had acknowledged through a pipe.

The state after commit `n` is known in closed form, so nothing has to be remembered.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np

from lsr.records import Document, DocumentBatch
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.storage.directory import Files
from lsr_index.update.merge_policy import MergePolicy
from lsr_index.update.verify import verify
from tests.index.collections import batch_of

N_IDS = 24
POLICY = MergePolicy(factor=4, floor_docs=8)


def written(n: int) -> tuple[dict[str, str], list[str]]:
    """What commit `n` writes and deletes: texts by id, and ids."""
    rng = random.Random(n)
    ids = [f"d{i}" for i in rng.sample(range(N_IDS), 6)]
    return {doc_id: f"{doc_id} of commit {n}" for doc_id in ids[:4]}, ids[4:]


def state_after(n: int) -> dict[str, str]:
    """All documents after commits 0 to `n`."""
    state: dict[str, str] = {}
    for i in range(max(0, n - 400), n + 1):  # every id is written or deleted far more often
        new, gone = written(i)
        state |= new
        for doc_id in gone:
            state.pop(doc_id, None)
    return state


def vector(text: str) -> list[float]:
    """The dense vector of a document: numbers that half precision holds exactly."""
    return [1.0 + sum(text.encode()) % 1000, float(len(text))]


def batch(n: int, dense: bool) -> tuple[DocumentBatch, list[str]]:
    new, gone = written(n)
    documents = {doc_id: Document(doc_id, text, "", {"n": n}) for doc_id, text in new.items()}
    documents["last"] = Document("last", str(n))
    rows = {doc_id: {n % 7: 1.0, 7: 0.5} for doc_id in new}
    made = batch_of({**rows, "last": {8: 1.0}}, documents)
    vectors = np.array([vector(document.text) for document in documents.values()], np.float32)
    return made._replace(dense=vectors if dense else None), gone


def last_commit(path: Path) -> tuple[int, dict[str, str]]:
    """Read the index: the number of its last commit, and all documents but that mark."""
    with open_index(path, verify="checksums") as index:
        ordinals = index.select({})
        documents = index.documents(ordinals)
        if index.dense is not None:
            expected = [vector(document.text) for document in documents]
            if index.dense.vectors(ordinals).tolist() != expected:
                sys.exit("a dense vector is not that of its document")
    state = {document.id: document.text for document in documents}
    return int(state.pop("last")), state


class DeadlyFiles(Files):
    """The real disk; kills this process at one operation, before or after it."""

    def __init__(self, number: int, after: bool) -> None:
        self._left = number
        self._after = after

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name not in ("create", "write", "sync", "close", "sync_directory", "rename", "remove"):
            return found

        def deadly(*arguments: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = found(*arguments)  # type: ignore[operator]
            if self._left == 0 and self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return deadly


def child(path: Path, pipe: int, files: Files, limit: int) -> NoReturn:
    """Commit and acknowledge until killed, or `limit` times."""
    n, _ = last_commit(path)
    with open_index(path) as index:
        dense = index.dense is not None
    with IndexWriter(path, policy=POLICY, files=files) as writer:
        os.write(pipe, n.to_bytes(8, "little"))
        for _ in range(limit):
            n += 1
            documents, gone = batch(n, dense)
            writer.add(documents)
            writer.delete(gone)
            writer.commit()
            os.write(pipe, n.to_bytes(8, "little"))
            if n % 5 == 0:
                writer.merge()
            if n % 31 == 0:
                writer.compact()
    os._exit(7)


def run_once(
    path: Path, files: Files, delay: float | None, limit: int, wait: bool = False
) -> tuple[int, int]:
    """Fork, kill, reap; return the last acknowledged commit (0: none) and the exit status.

    `delay` is the time to live, from the start, or (`wait`) from when the index is open.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            child(path, writing, files, limit)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(9)
    os.close(writing)
    first = os.read(reading, 8) if wait else b""
    if delay is not None:
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reading, "rb") as pipe:
        acknowledged = first + pipe.read()
    return int.from_bytes(acknowledged[-8:], "little"), status


def check(path: Path, before: int, acknowledged: int, what: str) -> int:
    """Compare what is on the disk with what must be; return its commit."""
    found, state = last_commit(path)
    least = max(before, acknowledged)
    if found not in (least, least + 1) or state != state_after(found):
        sys.exit(f"{what}: commit {least} was acknowledged, found {found}: {state}")
    return found


def main(folder: Path, mode: str, count: int, seed: int, dense: bool) -> None:
    """See the module."""
    path = folder / "killed.index"
    documents, _ = batch(0, dense)
    spec = DenseSpec(2, "dot") if dense else None
    build_index(path, [documents], n_terms=10, max_weight=1.0, dense=spec).close()
    # Everything is imported and compiled before the first fork.
    run_warm(path, dense)
    rng = random.Random(seed)
    at, kills, points = 0, 0, 0
    for number in range(count):
        if mode == "random":
            # Every third dies while it opens, and perhaps clears up after the one before.
            wait, delay = number % 3 > 0, rng.uniform(0.001, 0.025)
            acknowledged, status = run_once(path, Files(), delay, 10**6, wait)
        else:
            files = DeadlyFiles(number // 2 + 1, after=bool(number % 2))
            acknowledged, status = run_once(path, files, None, 3)
            points += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status) != 7:
            sys.exit(f"{mode} {number} of seed {seed}: the child failed with status {status}")
        kills += os.WIFSIGNALED(status)
        at = check(path, at, acknowledged, f"{mode} {number} of seed {seed}")
        if number % 100 == 0 and verify(path, 2).problems:
            sys.exit(f"{mode} {number} of seed {seed}: {verify(path, 2).problems}")
        if mode == "points" and not os.WIFSIGNALED(status):
            break  # beyond the last operation
    report = verify(path, 3)
    if not report.ok:
        sys.exit(str(report.problems))
    result = {"kills": kills, "points": points, "commits": at, "files": len(os.listdir(path))}
    sys.stdout.write(json.dumps(result) + "\n")


def run_warm(path: Path, dense: bool) -> None:
    """Compile in this process what the children will use."""
    copy = path.with_name("warm.index")
    documents, _ = batch(0, dense)
    spec = DenseSpec(2, "dot") if dense else None
    build_index(copy, [documents], n_terms=10, max_weight=1.0, dense=spec).close()
    with IndexWriter(copy) as writer:
        writer.add(documents)
        writer.commit()
        writer.compact()


if __name__ == "__main__":
    _, to, how, times, first, *rest = sys.argv
    main(Path(to), how, int(times), int(first), rest == ["dense"])
