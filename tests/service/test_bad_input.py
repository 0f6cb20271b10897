"""What a user can get wrong: one clear line, the right exit code, nothing half-written."""

from __future__ import annotations

import gzip
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lsr_service.cli.main import run
from tests.service.conftest import lsr_command
from tests.shared import ROOT, shared_path

PROGRESS = re.compile(r"(encode|storing|inverting|write)( …|: \d)")


def fails(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 1, says: str
) -> None:
    """Assert that a command fails with one line that holds the words `says`."""
    assert run([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if not PROGRESS.match(line)]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    assert "LSR_DEBUG" not in lines[0]
    for words in says.split("|"):
        assert words in lines[0]
    assert captured.out == ""


def write_lines(path: Path, n: int, bad: int) -> None:
    lines = [json.dumps({"_id": str(i), "text": f"document {i}"}) for i in range(1, n + 1)]
    lines[bad - 1] = '{"_id": "x", "text": '
    path.write_text("\n".join(lines))


def index_into(tmp_path: Path, source: object, encoder: object = "bm25") -> tuple[str, ...]:
    output = str(tmp_path / "out.index")
    return ("index", str(source), "--encoder", str(encoder), "--output", output)


def only_the_workspace(tmp_path: Path) -> bool:
    return not (tmp_path / "out.index").exists()


def test_a_corpus_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, *index_into(tmp_path, tmp_path / "nope"), says="nope: no such file or folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "\n", "\n\n\n", "\ufeff"])
def test_an_empty_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    source = tmp_path / "empty.jsonl"
    source.write_text(content)
    fails(capsys, *index_into(tmp_path, source), says="empty.jsonl")
    assert only_the_workspace(tmp_path)


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    fails(capsys, *index_into(tmp_path, tmp_path / "folder"), says="folder")
    assert only_the_workspace(tmp_path)


def test_a_malformed_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "corpus.jsonl"
    write_lines(source, 10_000, bad=7_000)
    fails(capsys, *index_into(tmp_path, source), says="corpus.jsonl:7000:")
    assert only_the_workspace(tmp_path)
    strict = ["--on-error", "skip", "--max-errors", "0"]
    fails(capsys, *index_into(tmp_path, source), *strict, says="corpus.jsonl:7000:")
    assert run([*index_into(tmp_path, source), "--on-error", "skip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_docs"] == 9_999


def test_a_malformed_line_can_be_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "corpus.jsonl"
    write_lines(source, 100, bad=70)
    assert run([*index_into(tmp_path, source), "--on-error", "skip", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["skipped"] == 1
    assert json.loads(captured.out)["n_docs"] == 99
    assert "skipped 1 line, the first because of: " in captured.err
    assert "corpus.jsonl:70:" in captured.err


def test_no_folder_to_write_into(
    corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "no" / "such" / "out.index"
    fails(capsys, "index", corpus_path, "--output", out, code=2, says="is no folder")


def test_something_is_there_already(
    corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.index"
    out.mkdir()
    (out / "precious").write_text("mine")
    fails(capsys, "index", corpus_path, "--output", out, says="exists already|--overwrite")
    assert run(["index", str(corpus_path), "--output", str(out), "--overwrite"]) == 1
    assert (out / "precious").read_text() == "mine"


@pytest.mark.parametrize("verb", ["search", "stats", "serve"])
def test_a_folder_that_is_no_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    query = ["storm"] if verb == "search" else []
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("hello")
    fails(capsys, verb, tmp_path / "folder", *query, says="folder")
    fails(capsys, verb, tmp_path / "nope", *query, says="nope")
    fails(capsys, verb, tmp_path / "folder" / "notes.txt", *query, says="notes.txt")


def test_an_index_made_by_another_encoder(
    corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*index_into(tmp_path, corpus_path), "--k1", "2.5"]) == 0
    capsys.readouterr()
    arguments = ("search", tmp_path / "out.index", "storm", "--encoder", "bm25")
    fails(capsys, *arguments, says="made by another encoder|2.5")


def test_a_damaged_index(
    index_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = shutil.copytree(index_path, tmp_path / "damaged.index")
    for segment in damaged.glob("segment-*"):
        segment.write_bytes(segment.read_bytes()[:1000])
    fails(capsys, "search", damaged, "storm", says="damaged.index")
    fails(capsys, "serve", damaged, says="damaged.index")


def model_folder(path: Path, *, weights: str | None) -> Path:
    """Return a model folder with a tokenizer and a configuration, without safetensors."""
    path.mkdir()
    real = shared_path("models/splade-tiny")
    for file in real.iterdir():
        if file.suffix == ".json" or file.name == "vocab.txt":
            (path / file.name).write_bytes(file.read_bytes())
    if weights is not None:
        (path / weights).write_bytes(b"\x80\x04.")
    return path


def test_a_model_folder_without_weights(
    corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = model_folder(tmp_path / "model", weights=None)
    fails(capsys, *index_into(tmp_path, corpus_path, folder), says="model|safetensors")
    assert only_the_workspace(tmp_path)


def test_a_model_folder_with_pickled_weights_only(
    corpus_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = model_folder(tmp_path / "model", weights="pytorch_model.bin")
    fails(
        capsys,
        *index_into(tmp_path, corpus_path, folder),
        says="pytorch_model.bin|python -m lsr.encoders.neural.convert",
    )


@pytest.mark.parametrize("name", ["nobody/no-such-model", "./no-such-folder", "bm26"])
def test_an_encoder_that_is_not_there(
    corpus_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run(index_into(tmp_path, corpus_path, name)) in (1, 2)
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("error: ")
    assert "LSR_DEBUG" not in captured.err
    assert name.removeprefix("./") in captured.err
    assert list(tmp_path.iterdir()) == []


def limited(arguments: tuple[str, ...], file_bytes: int) -> subprocess.CompletedProcess[str]:
    """Run ``lsr`` where no file can grow beyond a size, as on a disk without room."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.run(
        lsr_command(*arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


@pytest.mark.parametrize("verb", ["index", "encode"])
def test_a_full_disk_leaves_nothing_half_written_and_the_job_goes_on_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    source = tmp_path / "corpus.jsonl.gz"
    rng = np.random.default_rng(0)
    with gzip.open(source, "wt") as file:
        for i in range(3_000):
            words = " ".join(f"w{n}" for n in rng.integers(0, 30_000, 60))
            file.write(json.dumps({"_id": str(i), "text": words}) + "\n")
    out = tmp_path / "out"
    arguments = (verb, str(source), "--output", str(out), "--encoder", "bm25")
    done = limited(arguments, 400_000)
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "LSR_DEBUG" not in errors[0]
    assert "Traceback" not in done.stderr
    assert not out.exists()
    assert run(list(arguments)) == 0
    assert out.exists()
    assert not (tmp_path / "out.building").exists()


def test_nothing_unknown_matters_in_a_query(
    index_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for query in ("", "   ", "qwxyz vvvvq", "\x00", "the of and"):
        assert run(["search", str(index_path), query, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["hits"] == []


def test_a_traceback_only_for_those_who_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSR_DEBUG", "1")
    assert run(["stats", str(tmp_path / "nope")]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("Traceback")
    assert errors.splitlines()[-1].startswith("error: ")


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Interrupt for real, then run again: the result equals that of a run in one go."""
    source = tmp_path / "corpus.jsonl"
    lines = [json.dumps({"_id": str(i), "text": f"word{i % 977} " * 40}) for i in range(30_000)]
    source.write_text("\n".join(lines))
    process = subprocess.Popen(
        lsr_command(*index_into(tmp_path, source)), stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    workspace = tmp_path / "out.index.building"
    while not list(workspace.rglob("shard-00001*")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == (
        "indexing stopped; run the same command again and it goes on from here"
    )
    assert "Traceback" not in errors
    assert workspace.is_dir()
    assert run([*index_into(tmp_path, source), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_docs"] == 30_000
    assert not workspace.exists()


def test_a_closed_pipe_is_no_error(index_path: Path) -> None:
    command = " ".join(map(str, lsr_command("search", str(index_path), "storm", "-k", "1000")))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "1")


def test_standard_output_that_is_full(index_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lsr", "stats", str(index_path)],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: No space left on device"
    assert "Traceback" not in done.stderr
