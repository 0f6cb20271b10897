"""The encoder of docs/encoders.md as a package: command line, composite, HTTP, update."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import lsr_command
from tests.shared import ROOT, run_python

SEARCH = """
import json, sys
from fastapi.testclient import TestClient
from lsr_service.http.app import create_app
from lsr_service.settings import ServerSettings
limits = {"deadline_ms": 60_000}  # kernels may have to be compiled first
settings = ServerSettings(indexes={"a": sys.argv[1]}, access_log=False, limits=limits)
with TestClient(create_app(settings), "http://localhost") as client:
    answer = client.post("/v1/indexes/a/search", json={"query": sys.argv[2], "explain": True})
    assert answer.status_code == 200, answer.text
    print(json.dumps(answer.json()))  # in ASCII: a text holds U+2028
"""


class Site:
    """A folder of packages beside the installed ones, with the encoder in it."""

    def __init__(self, folder: Path) -> None:
        page = (ROOT / "docs/encoders.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        (points,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
        points = points.replace('[project.entry-points."lsr.encoders"]', "[lsr.encoders]")
        self.folder = folder
        about = folder / "char_ngrams-1.0.dist-info"
        about.mkdir(parents=True)
        (folder / "char_ngrams.py").write_text(code)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: char-ngrams\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(points.replace('"', ""))

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(self.folder), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(self, *arguments: object, code: int = 0, installed: bool = True) -> str:
        """Run ``lsr`` and return what it wrote: to standard error where it fails."""
        done = subprocess.run(
            lsr_command(*map(str, arguments)),
            env=self.environment if installed else dict(os.environ),
            capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    def search_http(self, index: Path, query: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            run_python(SEARCH, index, query, env=self.environment).splitlines()[-1]
        )
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site") / "packages")


@pytest.fixture(scope="module")
def index(site: Site, corpus_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "own.index"
    site.run("index", corpus_path, "--encoder", "char-ngrams", "--encoder-option", "n=4",
             "--out", path)  # fmt: skip
    return path


def test_command_line(site: Site, index: Path) -> None:
    hits = json.loads(site.run("search", index, "zebbra", "--json"))["hits"]
    assert {"long", "odd/id ?#%é"} <= {hit["id"] for hit in hits}


def test_http(site: Site, index: Path) -> None:
    answer = site.search_http(index, "mirrror")
    assert answer["encoder"]["kind"] == "char-ngrams"
    terms = {term["term"] for term in answer["hits"][0]["explanation"]}
    assert {"_mir", "mirr", "rror"} <= terms
    assert all(len(term) == 4 for term in terms)


def test_documents_are_added_with_the_restored_encoder(
    site: Site, index: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new.jsonl"
    new.write_text('{"_id": "new", "text": "a xylophone"}\n')
    site.run("add", index, new)
    assert site.search_http(index, "xylofone")["hits"][0]["id"] == "new"


def test_a_part_of_a_composite(site: Site, corpus_path: Path, tmp_path: Path) -> None:
    mixed, path = tmp_path / "mixed", tmp_path / "mixed.index"
    mixed.mkdir()
    part = {"encoder": "char-ngrams", "weight": 0.1, "mark": "~", "options": {"n": 3}}
    (mixed / "composite.json").write_text(json.dumps({"parts": [part, {"encoder": "bm25"}]}))
    site.run("index", corpus_path, "--encoder", mixed, "--k1", "0.9", "--out", path)
    answer = site.search_http(path, "zebra")
    assert answer["encoder"]["kind"] == "composite"
    terms = {term["term"] for term in answer["hits"][0]["explanation"]}
    assert {"zebra", "~zeb", "~ebr", "~bra"} <= terms
    (mixed / "composite.json").write_text(json.dumps({"parts": [part | {"options": {"n": 9}}]}))
    said = site.run("index", corpus_path, "--encoder", mixed, "--out", tmp_path / "x", code=1)
    assert (
        "composite.json: options of char-ngrams: n = 9: expected a whole number from 1 to 5" in said
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoder-option", "n=0"], "n = 0: expected a whole number from 1 to 5"),
        (["--encoder-option", "n=x"], "n = 'x': expected a whole number from 1 to 5"),
        (["--encoder-option", "m=3"], "encoder option 'm' is not known; the encoder takes n"),
        (["--encoder-option", "n"], "expected NAME=VALUE"),
        (["--k1", "1"], "k1: not an option of the encoder char-ngrams, which takes n"),
    ],
)
def test_wrong_options(
    site: Site, corpus_path: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    named = ["--encoder", "char-ngrams", *arguments]
    said = site.run("index", corpus_path, *named, "--out", tmp_path / "x", code=2)
    assert message in said
    assert not (tmp_path / "x").exists()


def test_without_its_package(site: Site, index: Path, corpus_path: Path, tmp_path: Path) -> None:
    said = site.run("search", index, "zebra", code=1, installed=False)
    assert "of an unknown kind, 'char-ngrams': its package is not installed" in said
    said = site.run(
        "index", corpus_path, "--encoder", "char-ngrams", "--out", tmp_path / "x",
        code=1, installed=False,
    )  # fmt: skip
    assert "char-ngrams: no such folder" in said
    assert "or one of bm25, precomputed" in said


def test_a_package_that_cannot_be_imported(site: Site, corpus_path: Path, tmp_path: Path) -> None:
    broken = Site(tmp_path / "broken")
    (broken.folder / "char_ngrams.py").write_text("import no_such_module\n")
    said = broken.run(
        "index", corpus_path, "--encoder", "char-ngrams", "--out", tmp_path / "x", code=1
    )
    assert "char-ngrams of another package (char_ngrams:CharacterNgrams) cannot be imported" in said
