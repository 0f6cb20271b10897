"""Dense vectors from the command line: index, add, reindex, attach, stats, verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
from lsr_service.cli.main import FAILURE, USAGE, run
from tests.lsr.test_dense_encoders import save_repository

TEXTS = ["the man said new things", "which time", "newly these times", "mans thely"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_repository(tmp_path / "model")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    lines = [json.dumps({"_id": f"d{i}", "text": text}) for i, text in enumerate(TEXTS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def stats(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["stats", str(path), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_made_with_the_index_and_kept_by_every_change(
    corpus: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.index"
    more = tmp_path / "more.jsonl"
    more.write_text('{"_id": "new", "text": "the man"}\n', encoding="utf-8")
    assert (
        run(["index", str(corpus), "-o", str(path), "--encoder", "bm25", "--dense", str(model)])
        == 0
    )
    assert "4 dense vectors" in capsys.readouterr().out
    for command in (
        ["add", str(path), str(more)],
        ["delete", str(path), "d0"],
        ["compact", str(path)],
        ["reindex", str(path), "--encoder", "bm25", "--k1", "2"],
    ):
        assert run(command) == 0, command
    dense = stats(path, capsys)["dense"]
    assert (dense["n_vectors"], dense["dimension"], dense["similarity"]) == (4, 24, "cosine")
    assert run(["verify", str(path), "--level", "3"]) == 0
    assert "4 dense vectors" in capsys.readouterr().out


def test_given_later_replaced_and_attached(
    corpus: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.index"
    assert run(["index", str(corpus), "-o", str(path), "--encoder", "bm25"]) == 0
    assert "dense" not in stats(path, capsys)
    assert run(["reindex", str(path), "--dense", str(model)]) == 0
    assert stats(path, capsys)["dense"]["n_vectors"] == 4
    np.save(tmp_path / "v.npy", np.eye(4, 24, dtype=np.float32))
    (tmp_path / "ids.txt").write_text("d3\nd2\nd1\nd0\n", encoding="utf-8")
    ids = ["--ids", str(tmp_path / "ids.txt")]
    assert run(["attach", str(path), str(tmp_path / "v.npy"), *ids]) == 0
    assert "4 vectors of 24 numbers, compared by cosine" in capsys.readouterr().out
    assert stats(path, capsys)["dense"]["fingerprint"] is None
    assert run(["attach", str(path), str(tmp_path / "ids.txt"), *ids]) == FAILURE
    assert "neither a .npy file nor a faiss index" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "name what to encode with: --encoder, --dense or both"),
        (["--dense", "minilm", "--k1", "2"], "k1: goes with --encoder, which is not given"),
    ],
)
def test_reindex_without_what_it_needs(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    path = tmp_path / "my.index"
    assert run(["index", str(corpus), "-o", str(path), "--encoder", "bm25"]) == 0
    capsys.readouterr()
    assert run(["reindex", str(path), *more]) == USAGE
    assert says in capsys.readouterr().err


def test_a_sparse_model_is_no_dense_one(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.lsr.tiny_models import save_sentence_transformers

    model = save_sentence_transformers(tmp_path / "sparse")
    code = run(["index", str(corpus), "-o", str(tmp_path / "x"), "--dense", str(model)])
    assert code == FAILURE
    assert "a sparse encoder goes to --encoder" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
