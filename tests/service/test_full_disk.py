"""A server whose disk is full: it says so, goes on searching, and resumes when there is room."""

from __future__ import annotations

import resource
from pathlib import Path

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr_index.build.index_corpus import index_corpus
from lsr_index.update.verify import verify
from tests.service.conftest import lsr_serve
from tests.service.test_server import request

DOCS = "/v1/indexes/small/docs"
SEARCH = "/v1/indexes/small/search"


def test_changes_wait_for_room_and_searches_do_not(corpus_path: Path, tmp_path: Path) -> None:
    """The largest size of a file is limited from outside while the server runs."""
    path = tmp_path / "full.index"
    index_corpus(open_corpus(corpus_path), load_encoder("bm25"), path).close()
    batch = {"documents": [{"id": f"n{i}", "text": f"quokka number{i}"} for i in range(50)]}
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with lsr_serve(path, "--writable", LSR_SERVE_FREE_BYTES="0") as (process, port):
        for room in (0, 100, 1_000):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, unlimited[1]))
            status, answer = request(port, "PUT", DOCS, batch)
            assert (status, answer["error"]) == (507, "storage_full")
            assert request(port, "DELETE", f"{DOCS}/d001")[0] in (200, 507)
            assert request(port, "GET", f"{DOCS}/n1")[0] == 404
            status, answer = request(port, "POST", SEARCH, {"query": "storm", "k": 3})
            assert status == 200
            assert len(answer["hits"]) == 3
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        status, answer = request(port, "PUT", DOCS, batch)
        assert (status, answer["n_changed"]) == (200, 50)
        _, answer = request(port, "POST", SEARCH, {"query": "quokka", "k": 100})
        assert len(answer["hits"]) == 50
    assert verify(path, level=2).ok
