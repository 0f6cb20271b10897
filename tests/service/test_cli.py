"""Verbs, exit codes and what they print."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from lsr_index.hybrid import Retriever
from lsr_service.cli.commands.demo import existing
from lsr_service.cli.main import run
from lsr_service.http import models
from tests.service.conftest import lsr_process
from tests.shared import run_python

VERBS = ("index", "search", "serve", "eval", "encode", "stats", "demo")


def out_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(arguments) == code
    return capsys.readouterr().out


def test_help_is_fast_and_names_every_verb() -> None:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        done = lsr_process("--help")
        best = min(best, time.perf_counter() - started)
    assert done.returncode == 0
    assert all(f" {verb} " in done.stdout for verb in VERBS)
    assert best < 1.5  # 0.4 s on a quiet machine; numba alone would take longer than this


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from lsr_service.cli.main import run; "
        "run(['--help']); run(['search', '--help']); "
        "heavy = {'numba', 'torch', 'transformers', 'pyarrow', 'scipy', 'fastapi', 'uvicorn'}; "
        "print('loaded', sorted(heavy & set(sys.modules)))"
    )
    assert run_python(code).rstrip().endswith("loaded []")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["--help"], 0),
        (["search", "--help"], 0),
        (["nonsense"], 2),
        (["search"], 2),
        (["search", "x", "--nonsense"], 2),
        (["search", "x", "q", "--k", "many"], 2),
        (["search", "x", "q", "--k", "0"], 2),
        (["search", "x", "q", "--k", "-5"], 2),
        (["search", "x", "q", "--k", "100000000000000000000"], 2),
        (["index", "x"], 2),
        (["index", "x", "--output", "y", "--on-error", "ignore"], 2),
        (["index", "x", "--output", "y", "--memory", "lots"], 2),
        (["search", "x", "q", "--topics", "t.tsv"], 2),
        (["search", "x", "q", "--json", "--output-format", "trec"], 2),
        (["serve", "Bad Name=x"], 2),
    ],
)
def test_exit_codes_of_the_command_line(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    assert "Traceback" not in capsys.readouterr().err


def test_index_then_search_then_stats(
    corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made.index"
    made = json.loads(out_of(capsys, "index", str(corpus_path), "--output", str(path), "--json"))
    assert (made["n_docs"], made["skipped"], made["path"]) == (300, 0, str(path))
    assert not list(tmp_path.glob("*.building"))
    found = json.loads(out_of(capsys, "search", str(path), "storm river", "-k", "3", "--json"))
    assert found["query"] == "storm river"
    answer = models.SearchResponse.model_validate({k: found[k] for k in found if k != "query"})
    assert [hit.rank for hit in answer.hits] == [1, 2, 3]
    stats = json.loads(out_of(capsys, "stats", str(path), "--json"))
    assert stats["n_docs"] == 300
    assert stats["fingerprint"] == answer.encoder.fingerprint
    assert stats["encoder"]["kind"] == "composite"
    table = out_of(capsys, "stats", str(path))
    rows = dict(line.split("  ", 1) for line in table.splitlines())
    labels = {label: value.strip() for label, value in rows.items() if label}
    assert (labels["Documents"], labels["Deleted"], labels["Compact"]) == ("300", "0", "no")
    assert labels["Terms"] == f"{stats['n_terms']:,}"
    assert labels["Size on disk"].endswith("iB")
    assert labels["Encoder"] == "composite"
    assert labels["Fingerprint"] == stats["fingerprint"]
    assert "    splade: architecture onnx-int8, max length 256" in table
    assert not re.search(r"[\[{_]|\bn ", table.replace(str(path), ""))
    assert len(labels) == len(stats) + 1  # and the fields of the metadata
    assert "year (number)" in labels["Metadata fields"]


def test_text_output_marks_nothing_when_it_is_piped(
    index_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = out_of(capsys, "search", str(index_path), "zebra crossing", "--explain")
    assert "\x1b" not in text
    assert "🦓 <b>bold</b>" in text
    assert "zebra " in text
    assert "2 hits in " in text


def test_pages_of_hits(index_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = ["search", str(index_path), "storm river"]
    whole = json.loads(out_of(capsys, *query, "-k", "9", "--json"))["hits"]
    assert len(whole) == 9
    for offset in (0, 4, 8):
        about = ["-k", "4", "--offset", str(offset), "--json"]
        page = json.loads(out_of(capsys, *query, *about))["hits"]
        assert page[: 9 - offset] == whole[offset : offset + 4]
    assert run([*query[:2], "--offset", "1", "--topics", "t.tsv"]) == 2
    assert "--offset pages through" in capsys.readouterr().err


def test_no_hits_names_the_words_that_the_index_lacks(
    index_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert out_of(capsys, "search", str(index_path), "Qwxyz zzzyx qwxyz") == (
        "no hits; not in the index: qwxyz, zzzyx\n"
    )
    nothing = ["search", str(index_path), "storm qwxyz", "--filter", '{"year": {"$lt": 5}}']
    assert out_of(capsys, *nothing) == "no hits; not in the index: qwxyz\n"
    assert "not in the index" not in out_of(capsys, "search", str(index_path), "storm qwxyz")


def test_queries_from_a_pipe(
    index_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = io.TextIOWrapper(io.BytesIO(b"storm\n\nqwxyz\nriver"))
    monkeypatch.setattr(sys, "stdin", typed)
    text = out_of(capsys, "search", str(index_path), "-k", "2")
    assert text.count("2 hits in ") == 2
    assert text.count("no hits") == 2


def test_runs_from_topics(
    index_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = tmp_path / "topics.tsv"
    topics.write_text("q1\tstorm river\nq2\tqwxyz\nq3\tengine\n")
    arguments = ["search", str(index_path), "--topics", str(topics), "-k", "7"]
    printed = out_of(capsys, *arguments, "--tag", "mine")
    lines = [line.split() for line in printed.splitlines()]
    assert [line[0] for line in lines] == ["q1"] * 7 + ["q3"] * 7
    assert {(line[1], line[5]) for line in lines} == {("Q0", "mine")}
    written = tmp_path / "run.trec"
    out_of(capsys, *arguments, "--threads", "2", "--tag", "mine", "--output", str(written))
    assert written.read_text() == printed
    as_json = [json.loads(line) for line in out_of(capsys, *arguments, "--json").splitlines()]
    assert [topic["qid"] for topic in as_json] == ["q1", "q2", "q3"]
    assert as_json[1]["hits"] == []
    assert {hit["id"] for hit in as_json[0]["hits"]} == {line[2] for line in lines[:7]}


def test_encode_writes_vectors_that_can_be_read(
    corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lsr.vectors import read_parquet

    path = tmp_path / "vectors.parquet"
    arguments = ["encode", str(corpus_path), "--output", str(path), "--encoder", "bm25", "--json"]
    figures = json.loads(out_of(capsys, *arguments))
    batches = list(read_parquet(path))
    assert sum(batch.n_docs for batch in batches) == figures["n_docs"] == 300
    assert sum(batch.vectors.nnz for batch in batches) == figures["n_entries"] > 0
    assert [file.name for file in tmp_path.iterdir()] == ["vectors.parquet"]
    assert run(arguments) == 1
    assert "exists already" in capsys.readouterr().err


def test_eval_measures_a_collection(
    index_path: Path, corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_bytes(corpus_path.read_bytes())
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "zebra padding"}\n')
    (tmp_path / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tlong\t1\n")
    arguments = ["eval", str(tmp_path), "--index", str(index_path), "--encoder", "bm25"]
    report = json.loads(out_of(capsys, *arguments, "--measures", "RR@10", "--json"))
    values = [system["measures"]["RR@10"]["value"] for system in report["systems"]]
    assert values == [1.0, 1.0]
    table = out_of(capsys, *arguments, "-k", "1", "--output", str(tmp_path / "out.trec"))
    assert "nDCG@1 " in table  # default cutoffs are lowered to k
    assert "@10" not in table
    assert len(list(tmp_path.glob("out.*.trec"))) == 2


def test_demo_ends_with_a_serve_line_and_is_quick_the_second_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = out_of(capsys, "demo", str(tmp_path))
    assert "docs/s" in first
    assert first.count(" hits in ") == 4
    assert f" serve {tmp_path}/python-docs.index" in first
    started = time.perf_counter()
    second = json.loads(out_of(capsys, "demo", str(tmp_path), "--json"))
    assert time.perf_counter() - started < 10  # making it again takes longer
    assert capsys.readouterr().err == ""
    assert second["n_docs"] > 1000
    assert all(answer["hits"] for answer in second["answers"])


def test_demo_keeps_aside_what_an_earlier_run_left_damaged(
    index_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(index_path, tmp_path / "python-docs.index")
    for manifest in path.glob("MANIFEST-*"):
        manifest.write_bytes(b"damaged")
    assert existing(path) is None
    assert "made again" in capsys.readouterr().err
    assert not path.exists()
    assert (tmp_path / "python-docs.index.unreadable-1").is_dir()


def test_python_terminal_and_http_agree(
    index_path: Path,
    retriever: Retriever,
    client: object,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fastapi.testclient import TestClient

    assert isinstance(client, TestClient)
    for query in ("storm", "storm river engine", "zebra", "winter the harvest", "", "qwxyz"):
        python = [(h.id, h.score, h.rank) for h in retriever.search(query, 50).hits]
        printed = json.loads(
            out_of(capsys, "search", str(index_path), query, "--k", "50", "--json")
        )
        terminal = [(h["id"], h["score"], h["rank"]) for h in printed["hits"]]
        body = client.post("/v1/indexes/small/search", json={"query": query, "k": 50}).json()
        http = [(h["id"], h["score"], h["rank"]) for h in body["hits"]]
        assert python == terminal == http
        assert len(python) == len({id for id, _, _ in python})
