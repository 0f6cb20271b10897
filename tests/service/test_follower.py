"""A server shows what other programs commit to its indexes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.records import Document
from lsr_index.build.index_corpus import index_corpus
from lsr_index.build.reencode import reindex
from lsr_index.hybrid import Retriever
from lsr_index.storage.manifest import manifest_name
from lsr_index.update.snapshot import restore, snapshot
from lsr_index.update.text_writer import IndexUpdater
from lsr_service.engine.engine import Engine
from lsr_service.engine.follower import Follower
from tests.service.conftest import serving

SEARCH = "/v1/indexes/live/search"


@pytest.fixture
def path(corpus_path: Path, tmp_path: Path) -> Path:
    index_corpus(open_corpus(corpus_path), load_encoder("bm25"), tmp_path / "live.index").close()
    return tmp_path / "live.index"


def add(path: Path, number: int) -> None:
    with IndexUpdater(path) as updater:
        updater.add([Document(f"quokka-{number}", f"a quokka and number{number}", "", {})])
        updater.commit()


def answer(client: TestClient, query: str = "quokka") -> Any:
    response = client.post(SEARCH, json={"query": query, "k": 50})
    assert response.status_code == 200, response.text
    return response.json()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the server did not follow"
        time.sleep(0.02)


@pytest.mark.parametrize("writable", [False, True])
def test_commits_beside_the_server_are_shown(path: Path, writable: bool) -> None:
    holder = IndexUpdater(path) if writable else None  # so that the server cannot be the writer
    with serving(indexes={"live": path}, writable=writable, follow_s=0.05) as client:
        assert answer(client)["hits"] == []
        if holder is not None:
            holder.close()
        for number in range(3):
            if writable and number:
                break  # the first commit of the server makes it the writer
            add(path, number)
            wait_for(lambda number=number: answer(client)["generation"] == number + 2)
            hits = answer(client)["hits"]
            assert {hit["id"] for hit in hits} == {f"quokka-{i}" for i in range(number + 1)}
        generation = answer(client)["generation"]
        assert client.get("/readyz").json()["generations"] == {"live": generation}
        if writable:
            body = {"documents": [{"id": "own", "text": "a quokka of its own"}]}
            changed = client.put("/v1/indexes/live/docs", json=body).json()
            assert changed["generation"] == generation + 1
            assert "own" in {hit["id"] for hit in answer(client)["hits"]}


def test_it_can_be_turned_off(path: Path) -> None:
    with serving(indexes={"live": path}, follow_s=0) as client:
        add(path, 0)
        time.sleep(0.3)
        assert answer(client)["generation"] == 1


def test_an_index_that_is_replaced_is_followed(path: Path, tmp_path: Path) -> None:
    snapshot(path, tmp_path / "saved")
    with serving(indexes={"live": path}, follow_s=0.05) as client:
        add(path, 0)
        wait_for(lambda: answer(client)["generation"] == 2)
        restore(tmp_path / "saved", path, replace_existing=True)
        wait_for(lambda: answer(client)["generation"] == 3)
        assert answer(client)["hits"] == []
        reindex(path, load_encoder("bm25", k1=0.9)).close()
        wait_for(lambda: answer(client)["generation"] == 4)
        shutil.rmtree(path)
        (tmp_path / "saved").rename(path)  # a lower generation
        wait_for(lambda: answer(client)["generation"] == 1)


def test_what_cannot_be_opened_is_logged_once_and_the_old_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine.open({"live": path})
    follower = Follower(engine, 3600)
    try:
        shown = engine.retriever("live")
        add(path, 0)
        good = (path / manifest_name(2)).read_bytes()
        (path / manifest_name(2)).write_bytes(b"damaged")
        for _ in range(3):
            follower.look()
        assert engine.retriever("live") is shown
        assert [r for r in caplog.records if "stays at generation 1" in r.message] == caplog.records
        assert len(caplog.records) == 1
        (path / manifest_name(2)).write_bytes(good)
        add(path, 1)
        follower.look()
        assert engine.retriever("live").index.generation == 3
    finally:
        follower.close()
        engine.close()


def test_a_commit_of_the_server_wins_over_what_the_follower_opened(path: Path) -> None:
    engine = Engine.open({"live": path})
    try:
        shown = engine.retriever("live")
        add(path, 0)
        own, late = Retriever.open(path), Retriever.open(path)
        assert engine.show("live", own)
        assert not engine.show("live", late, instead_of=shown)
        assert engine.retriever("live") is own
        late.close()
    finally:
        engine.close()


def test_encoders_are_kept_while_they_are_the_same(path: Path) -> None:
    engine = Engine.open({"live": path})
    follower = Follower(engine, 3600)
    try:
        before = engine.retriever("live").encoder
        with IndexUpdater(path) as updater:
            first = engine.retriever("live").index.doc_ids([0])[0]
            updater.delete([first])
            updater.commit()
        follower.look()
        assert engine.retriever("live").encoder is before
        add(path, 0)
        follower.look()
        assert engine.retriever("live").encoder is not before
        assert len(engine.retriever("live").search("quokka").hits) == 1
    finally:
        follower.close()
        engine.close()
