"""Verbs that change an index: add, delete, compact, verify, snapshot, restore, reindex."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr_index.build.index_corpus import index_corpus
from lsr_index.hybrid import Retriever
from lsr_index.update.writer import IndexWriter
from lsr_service.cli.main import run
from tests.service.conftest import lsr_process


@pytest.fixture
def path(corpus_path: Path, tmp_path: Path) -> Path:
    """Return an index of its own, of 300 documents."""
    path = tmp_path / "own.index"
    index_corpus(open_corpus(corpus_path), load_encoder("bm25"), path).close()
    return path


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """Return 60 further documents; ten of them replace others."""
    path = tmp_path / "more.jsonl"
    ids = [f"d{i:03}" for i in range(10)] + [f"new{i}" for i in range(50)]
    lines = [
        json.dumps({"_id": id, "text": f"quokka stone number{i}", "year": 2000 + i})
        for i, id in enumerate(ids)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Shell:
    """Runs commands and reads what they print as JSON."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        assert run([*map(str, arguments), "--json"]) == code, self.capsys.readouterr().err
        return json.loads(self.capsys.readouterr().out)

    def error(self, *arguments: str | Path, code: int = 1) -> str:
        assert run([*map(str, arguments)]) == code
        printed = self.capsys.readouterr()
        assert "Traceback" not in printed.err
        return printed.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """Return what runs commands."""
    return Shell(capsys)


def hits(path: Path, query: str, **more: Any) -> set[str]:
    with Retriever.open(path) as retriever:
        return {hit.id for hit in retriever.search(query, 1000, **more).hits}


@pytest.mark.parametrize("options", [(), ("--commit-every", "25")])
def test_added_documents_are_found_and_replace_others(
    path: Path, more: Path, shell: Shell, options: tuple[str, ...]
) -> None:
    added = shell.json("add", path, more, *options)
    assert (added["read"], added["replaced"], added["n_docs"]) == (60, 10, 350)
    assert added["generation"] >= (4 if options else 2)
    assert len(hits(path, "quokka")) == 60
    again = shell.json("add", path, more, *options)
    assert (again["replaced"], again["n_docs"]) == (60, 350)
    assert len(hits(path, "quokka")) == 60
    assert shell.json("verify", path, "--level", "3")["ok"]


def test_the_weights_of_queries_follow_the_collection(path: Path, more: Path, shell: Shell) -> None:
    """A new term has an id and a document frequency as soon as it is committed."""
    with Retriever.open(path) as retriever:
        assert retriever.encoder is not None
        assert retriever.encoder.term_id("quokka") is None
        assert retriever.encoder is not None
        (before,) = retriever.encoder.encode_queries(["storm"]).row(0)[1]
    shell.json("add", path, more)
    with Retriever.open(path) as retriever:
        assert retriever.encoder is not None
        assert retriever.encoder.term_id("quokka") is not None
        assert retriever.encoder is not None
        (after,) = retriever.encoder.encode_queries(["storm"]).row(0)[1]
        (quokka,) = retriever.encoder.encode_queries(["quokka"]).row(0)[1]
    assert after > before  # as many storms among more documents
    assert quokka == pytest.approx(math.log(1 + (360 - 60 + 0.5) / 60.5), rel=1e-6)


def test_a_malformed_line_adds_nothing(path: Path, tmp_path: Path, shell: Shell) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"_id": "x", "text": "quokka"}\n{"_id": \n', encoding="utf-8")
    assert "bad.jsonl:2" in shell.error("add", path, bad)
    assert hits(path, "quokka") == set()
    assert shell.json("add", path, bad, "--on-error", "skip")["skipped"] == 1
    assert hits(path, "quokka") == {"x"}


def test_documents_are_deleted_by_id_list_and_filter(
    path: Path, tmp_path: Path, shell: Shell
) -> None:
    ids = tmp_path / "ids"
    ids.write_text("d003\nnobody\nd004\n", encoding="utf-8")
    done = shell.json(
        "delete", path, "d001", "--ids-from", ids, "--filter", '{"year": 1905}', "--yes"
    )
    assert done["deleted"] == 3 + sum(1 for i in range(297) if i % 7 == 5)
    assert done["n_docs"] == 300 - done["deleted"]
    assert done["generation"] == 2
    assert not hits(path, "storm river") & {"d001", "d003", "d004", "d005"}
    assert shell.json("delete", path, "d001")["generation"] == 2
    assert "every document" in shell.error("delete", path, "--filter", "{}", code=2)
    assert "not JSON" in shell.error("delete", path, "--filter", "year=3", code=2)
    assert "say which" in shell.error("delete", path, code=2)


class TestDeleteByFilter:
    """What a filter would delete is shown, and deleted only when somebody says so."""

    RECENT = '{"year": {"$gte": 1905}}'

    @pytest.fixture
    def terminal(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        def answer(text: str) -> None:
            typed = io.StringIO(text)
            typed.isatty = lambda: True  # type: ignore[method-assign]
            monkeypatch.setattr(sys, "stdin", typed)
            monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

        return answer

    def matching(self) -> list[str]:
        return [f"d{i:03}" for i in range(297) if i % 7 >= 5]

    def test_without_a_terminal_it_says_what_to_add(self, path: Path, shell: Shell) -> None:
        said = shell.error("delete", path, "--filter", self.RECENT, code=2)
        n, (first, second, third) = len(self.matching()), self.matching()[:3]
        assert f"{n} of 300 documents match: {first}, {second}, {third}, …" in said
        assert "--yes" in said
        assert shell.json("stats", path)["n_docs"] == 300

    def test_yes_deletes(self, path: Path, shell: Shell) -> None:
        done = shell.json("delete", path, "--filter", self.RECENT, "-y")
        assert done["deleted"] == len(self.matching())
        assert done["n_docs"] == 300 - done["deleted"]

    @pytest.mark.parametrize(("typed", "gone"), [("y\n", True), ("n\n", False), ("\n", False)])
    def test_a_terminal_is_asked(
        self, path: Path, shell: Shell, terminal: Any, typed: str, gone: bool
    ) -> None:
        terminal(typed)
        assert run(["delete", str(path), "--filter", self.RECENT]) == (0 if gone else 1)
        assert "documents match: d005, d006, d012, …" in shell.capsys.readouterr().err
        left = 300 - len(self.matching()) if gone else 300
        assert shell.json("stats", path)["n_docs"] == left

    def test_dry_run_deletes_nothing(self, path: Path, shell: Shell) -> None:
        before = {file.name: file.read_bytes() for file in path.iterdir()}
        found = shell.json("delete", path, "--filter", self.RECENT, "--dry-run", "--yes")
        assert found["matched"] == len(self.matching())
        assert found["examples"] == self.matching()[:3]
        assert {file.name: file.read_bytes() for file in path.iterdir()} == before
        assert "give one" in shell.error("delete", path, "d001", "--dry-run", code=2)

    @pytest.mark.parametrize(
        "everything",
        ["{}", '{"$or": [{"year": 1900}, {"$not": {"year": 1900}}]}'],
    )
    def test_all_documents_need_all(self, path: Path, shell: Shell, everything: str) -> None:
        before = shell.json("stats", path)["n_docs"]
        assert shell.json("delete", path, "--filter", everything, "--dry-run")["matched"] == before
        said = shell.error("delete", path, "--filter", everything, "--yes", code=2)
        assert "every document" in said
        assert "--all" in said
        assert shell.json("stats", path)["n_docs"] == before
        done = shell.json("delete", path, "--filter", everything, "--yes", "--all")
        assert (done["deleted"], done["n_docs"]) == (before, 0)

    @pytest.mark.parametrize(
        ("filter", "said"),
        [
            ('{"yeer": {"$ne": 100}}', "did you mean 'year'"),
            ('{"$not": {"yeer": 100}}', "year (number"),
            ('{"year": {"$ne": "1905"}}', "number"),
            ('{"year": true}', "number"),
        ],
    )
    @pytest.mark.parametrize("consent", ["--yes", "--dry-run"])
    def test_a_typing_error_deletes_nothing(
        self, path: Path, shell: Shell, filter: str, said: str, consent: str
    ) -> None:
        assert said in shell.error("delete", path, "--filter", filter, consent, "--all", code=2)
        assert shell.json("stats", path)["n_docs"] == 300

    def test_nothing_matches(self, path: Path, shell: Shell) -> None:
        done = shell.json("delete", path, "--filter", '{"year": 1776}')
        assert (done["deleted"], done["generation"]) == (0, 1)

    def test_a_change_between_showing_and_deleting_is_noticed(
        self, path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def consent(index: Path, *args: object, **more: object) -> None:
            with IndexWriter(index) as writer:
                writer.delete(["d000"])
                writer.commit()

        monkeypatch.setattr("lsr_service.cli.commands.delete._require_consent", consent)
        said = shell.error("delete", path, "--filter", self.RECENT, "--yes")
        assert "changed meanwhile" in said
        assert shell.json("stats", path)["n_docs"] == 299


@pytest.mark.parametrize("form", ["plain", "crlf", "marked", "gzip", "no end"])
@pytest.mark.parametrize("through", ["file", "standard input"])
def test_ids_are_read_in_every_form(
    path: Path, tmp_path: Path, shell: Shell, form: str, through: str
) -> None:
    text = b"d001\nd002\n"
    stored = {
        "plain": text,
        "crlf": text.replace(b"\n", b"\r\n"),
        "marked": b"\xef\xbb\xbf" + text,
        "gzip": gzip.compress(text),
        "no end": text[:-1],
    }[form]
    ids = tmp_path / "ids"
    ids.write_bytes(stored)
    if through == "file":
        assert shell.json("delete", path, "--ids-from", ids)["deleted"] == 2
        return
    with ids.open("rb") as given:
        done = lsr_process("delete", str(path), "--ids-from", "-", "--json", stdin=given)
    assert json.loads(done.stdout)["deleted"] == 2


def test_ids_that_are_no_text_are_named(path: Path, tmp_path: Path, shell: Shell) -> None:
    ids = tmp_path / "ids"
    ids.write_bytes(b"d001\nd\xff\n")
    assert "ids:2: not valid UTF-8" in shell.error("delete", path, "--ids-from", ids, code=1)
    assert shell.json("stats", path)["n_docs"] == 300


def test_search_takes_a_filter(path: Path, shell: Shell) -> None:
    command = ("search", path, "storm", "--k", "300", "--filter", '{"year": {"$gte": 1905}}')
    found = {hit["id"] for hit in shell.json(*command)["hits"]}
    assert found == {i for i in hits(path, "storm") if i[1:].isdigit() and int(i[1:]) % 7 >= 5}
    assert "year" in shell.error("search", path, "x", "--filter", '{"year": {"gte": 1}}', code=2)


def test_compacting_frees_the_room(path: Path, more: Path, shell: Shell) -> None:
    shell.json("add", path, more, "--commit-every", "20")
    shell.json("delete", path, "--filter", '{"year": {"$lt": 1904}}', "--yes")
    expected = hits(path, "storm river stone quokka")
    compacted = shell.json("compact", path)
    assert compacted["changed"]
    assert (compacted["n_segments"], compacted["n_deleted"]) == (1, 0)
    assert hits(path, "storm river stone quokka") == expected
    assert not shell.json("compact", path)["changed"]


def test_verify_tells_damage_from_nothing_there(path: Path, tmp_path: Path, shell: Shell) -> None:
    report = shell.json("verify", path)
    assert report["ok"]
    assert report["generation"] == 1
    segment = next(path.glob("segment-*"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    report = shell.json("verify", path, "--level", "1", code=1)
    assert segment.name in report["problems"][0]
    assert shell.json("verify", tmp_path / "nothing", code=2)["unreadable"]
    assert "level" in shell.error("verify", path, "--level", "4", code=2)


def test_a_snapshot_is_restored(path: Path, more: Path, tmp_path: Path, shell: Shell) -> None:
    copy = tmp_path / "copy.index"
    assert shell.json("snapshot", path, copy)["generation"] == 1
    shell.json("add", path, more)
    assert hits(copy, "quokka") == set()
    assert "index here already" in shell.error("restore", copy, path)
    assert shell.json("restore", copy, path, "--overwrite")["generation"] == 3
    assert hits(path, "quokka") == set()
    elsewhere = tmp_path / "elsewhere.index"
    shell.json("restore", copy, elsewhere)
    assert hits(elsewhere, "storm") == hits(path, "storm")


def test_reindexing_changes_the_vectors_and_keeps_the_documents(
    path: Path, more: Path, shell: Shell
) -> None:
    shell.json("add", path, more)
    shell.json("delete", path, "d020")
    made = shell.json("reindex", path, "--encoder", "bm25", "--language", "none", "--k1", "0.9")
    assert (made["n_docs"], made["generation"]) == (349, 4)
    with Retriever.open(path) as retriever:
        assert retriever.index.fingerprint is not None
        assert retriever.index.fingerprint.document["k1"] == 0.9
        assert retriever.index.document("d020") is None
        document = retriever.index.document("d001")
        assert document is not None
        assert document.text == "quokka stone number1"
    assert len(hits(path, "quokka")) == 60
    assert not list(path.parent.glob("*.building"))


def test_a_second_writer_is_told_who_is_there(path: Path, more: Path, shell: Shell) -> None:
    with IndexWriter(path):
        for command in (("add", path, more), ("delete", path, "d001"), ("compact", path)):
            said = shell.error(*command)
            assert "another writer holds the lock" in said
            assert f"(process {os.getpid()})" in said
