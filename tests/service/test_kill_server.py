"""kill -9 of the real server under four writers: nothing that was answered with 200 is lost.

``LSR_SERVER_KILLS`` sets how often (else 40 times ``LSR_FAULT_SCALE``); ``LSR_KILL_SEED`` replays a
run as far as timing allows.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr_index.build.index_corpus import index_corpus
from lsr_index.update.verify import verify
from tests.index.faults.scale import SCALE
from tests.service.conftest import lsr_serve

KILLS = int(os.environ.get("LSR_SERVER_KILLS", "0")) or max(1, int(40 * SCALE))
SEED = int(os.environ.get("LSR_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
WRITERS = 4
IDS_EACH = 24

State = dict[str, str | None]
"""Text by id; None: deleted, or never there."""


class Writer:
    """Changes ids of its own, and knows what was acknowledged."""

    def __init__(self, number: int) -> None:
        self.rng = random.Random(SEED * 10 + number)
        self.ids = [f"w{number}-{i}" for i in range(IDS_EACH)]
        self.state: State = dict.fromkeys(self.ids)
        self.unknown: State = {}
        self.n_acknowledged = 0
        self.n_written = 0
        self.errors: list[str] = []

    def run(self, port: int) -> None:
        """Change documents until the server dies."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            while self.step(connection):
                pass
        finally:
            connection.close()

    def step(self, connection: http.client.HTTPConnection) -> bool:
        self.n_written += 1
        if self.rng.random() < 0.25:
            doc_id = self.rng.choice(self.ids)
            change: State = {doc_id: None}
            method, path, body = "DELETE", f"/v1/indexes/small/docs/{doc_id}", None
        else:
            ids = self.rng.sample(self.ids, self.rng.randint(1, 8))
            change = {doc_id: f"{doc_id} version {self.n_written} common" for doc_id in ids}
            method, path = "PUT", "/v1/indexes/small/docs"
            body = json.dumps({"documents": [{"id": i, "text": t} for i, t in change.items()]})
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            status = response.status
            response.read()
        except (OSError, http.client.HTTPException):
            self.unknown = change
            return False
        if status == 404 and method == "DELETE":
            if self.state[next(iter(change))] is not None:
                self.errors.append(f"{change}: 404 for a document that was acknowledged")
        elif status == 200:
            self.n_acknowledged += 1
            self.state |= change
        elif status != 429:
            self.errors.append(f"{method}: status {status}")
            self.unknown = change
            return False
        return True

    def check(self, connection: http.client.HTTPConnection) -> None:
        """Compare what is there; a change without an answer was applied as a whole or not."""
        there = {doc_id: stored_text(connection, doc_id) for doc_id in self.ids}
        allowed = [self.state, self.state | self.unknown]
        assert there in allowed, (SEED, [i for i in self.ids if there[i] != self.state[i]])
        self.state, self.unknown = there, {}


def stored_text(connection: http.client.HTTPConnection, doc_id: str) -> str | None:
    connection.request("GET", f"/v1/indexes/small/docs/{doc_id}")
    response = connection.getresponse()
    body = json.loads(response.read())
    return str(body["text"]) if response.status == 200 else None


@pytest.fixture
def path(corpus_path: Path, tmp_path: Path) -> Path:
    """Return an index of its own."""
    path = tmp_path / "killed.index"
    index_corpus(open_corpus(corpus_path), load_encoder("bm25"), path).close()
    return path


def write_until_killed(
    process: subprocess.Popen[str], port: int, writers: list[Writer], seconds: float
) -> None:
    threads = [threading.Thread(target=writer.run, args=(port,)) for writer in writers]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    process.kill()
    for thread in threads:
        thread.join()


def check_all(port: int, writers: list[Writer]) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        compare_all(connection, writers)


def compare_all(connection: http.client.HTTPConnection, writers: list[Writer]) -> None:
    for writer in writers:
        writer.check(connection)
    search = json.dumps({"query": "common", "k": 1000})
    headers = {"content-type": "application/json"}
    connection.request("POST", "/v1/indexes/small/search", search, headers)
    hits: list[dict[str, Any]] = json.loads(connection.getresponse().read())["hits"]
    expected = {i for writer in writers for i, text in writer.state.items() if text is not None}
    assert {hit["id"] for hit in hits} == expected, SEED


@pytest.mark.timeout(120 + 15 * KILLS)
def test_nothing_acknowledged_is_lost_by_kill_9(path: Path) -> None:
    rng = random.Random(SEED)
    writers = [Writer(number) for number in range(WRITERS)]
    environment = {"LSR_SERVE_FREE_BYTES": "0"}
    for _ in range(KILLS):
        with lsr_serve(path, "--writable", "--no-access-log", **environment) as (process, port):
            check_all(port, writers)
            write_until_killed(process, port, writers, rng.uniform(0.05, 0.9))
        report = verify(path, level=2)
        assert report.ok, (SEED, report)
        assert not any(writer.errors for writer in writers), (SEED, [w.errors for w in writers])
    with lsr_serve(path, "--writable", **environment) as (_, port):
        check_all(port, writers)
    assert verify(path, level=3).ok
    n_acknowledged = sum(writer.n_acknowledged for writer in writers)
    sys.stdout.write(f"{KILLS} kills, {n_acknowledged} acknowledged changes, seed {SEED}\n")
    assert n_acknowledged > 5 * KILLS


def test_sigterm_under_load_loses_nothing_and_frees_the_lock(path: Path) -> None:
    writers = [Writer(number) for number in range(WRITERS)]
    with lsr_serve(path, "--writable", LSR_SERVE_FREE_BYTES="0") as (process, port):
        threads = [threading.Thread(target=writer.run, args=(port,)) for writer in writers]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        process.terminate()
        _, errors = process.communicate(timeout=20)
        for thread in threads:
            thread.join()
        assert process.returncode == 0
        assert "Traceback" not in errors
    with lsr_serve(path, "--writable", LSR_SERVE_FREE_BYTES="0") as (_, port):
        check_all(port, writers)
    assert {error for writer in writers for error in writer.errors} <= {
        "PUT: status 503",
        "DELETE: status 503",
    }
    assert sum(writer.n_acknowledged for writer in writers) > 5
