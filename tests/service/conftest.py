"""A small index, and servers of it: in this process, and as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr_index.build.index_corpus import index_corpus
from lsr_index.hybrid import Retriever
from lsr_service.http.app import create_app
from lsr_service.settings import ServerSettings
from tests.shared import ROOT

WORDS = ("storm", "river", "stone", "engine", "harvest", "mirror", "signal", "copper", "winter")
ODD_ID = "odd/id ?#%é"


def documents() -> list[dict[str, Any]]:
    """Return 300 documents with many equal scores, and some that are odd."""
    docs: list[dict[str, Any]] = [
        {
            "_id": f"d{i:03}",
            "title": f"About {WORDS[i % 9]}",
            "text": " ".join(WORDS[(i * j) % 9] for j in range(1, 3 + i % 4)),
            "year": 1900 + i % 7,
        }
        for i in range(297)
    ]
    docs.append({"_id": ODD_ID, "title": "", "text": "a zebra crossing 🦓 <b>bold</b> \u2028 end"})
    docs.append({"_id": "empty", "title": "", "text": ""})
    docs.append({"_id": "long", "title": "Long", "text": "zebra " + "padding " * 2000})
    return docs


@pytest.fixture(scope="session")
def corpus_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a corpus as JSON lines."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in documents()]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def index_path(corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an index of the corpus, made with BM25."""
    path = tmp_path_factory.mktemp("indexes") / "small.index"
    index_corpus(open_corpus(corpus_path), load_encoder("bm25"), path).close()
    return path


@pytest.fixture(scope="session")
def retriever(index_path: Path) -> Iterator[Retriever]:
    """Return what searches the index from Python."""
    with Retriever.open(index_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def client(index_path: Path) -> Iterator[TestClient]:
    """Return a client of an application that serves the index as ``small`` and ``again``."""
    with serving(indexes={"small": index_path, "again": index_path}) as opened:
        yield opened


@contextmanager
def serving(**settings: Any) -> Iterator[TestClient]:
    """Run an application in this process."""
    settings = {"threads": 2, "access_log": False, **settings}
    app = create_app(ServerSettings(**settings))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@contextmanager
def lsr_serve(
    index_path: Path, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run ``lsr serve`` on any free port; gives the process and the port."""
    process = subprocess.Popen(
        lsr_command("serve", f"small={index_path}", "--port", "0", "--json", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LSR_SERVE_DRAIN_DELAY_S": "0", **environment},
    )
    try:
        assert process.stdout is not None
        lines = []
        while not lines or lines[-1] != "}\n":
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            lines.append(line)
        url: str = json.loads("".join(lines))["url"]
        yield process, int(url.rsplit(":", 1)[1])
    finally:
        process.kill()
        process.communicate()


def lsr_command(*arguments: str) -> list[str]:
    """Return the command line of ``lsr`` in this environment."""
    return [sys.executable, "-m", "lsr", *arguments]


def lsr_process(*arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run ``lsr`` as a process of its own."""
    defaults = {"capture_output": True, "text": True, "check": False, "cwd": ROOT}
    return subprocess.run(lsr_command(*arguments), **{**defaults, **kwargs})
