"""``lsr index`` of vectors made elsewhere, and of every format with every kind of source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsr.corpus import FORMATS
from lsr.vectors import read_anserini, write_parquet
from lsr_index.hybrid import Retriever
from lsr_service.cli.main import run

OF_FILES = [name for name in FORMATS if name != "python-docs"]  # reads no source
VECTORS = '{"id":"a","contents":"red lamp","vector":{"red":1.5,"lamp":0.7}}\n'


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.jsonl"
    path.write_text(VECTORS)
    return path


@pytest.mark.parametrize("form", ["anserini", "parquet"])
def test_precomputed_vectors_are_indexed(
    vectors: Path, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terms = tmp_path / "terms.txt"
    terms.write_text("lamp\nred\nblue\n")
    arguments = ["--encoder", "precomputed", "-o", str(tmp_path / "i"), "--json"]
    source = vectors
    if form == "parquet":
        batches = read_anserini(vectors)
        source = tmp_path / "v.parquet"
        write_parquet(source, batches)
        terms.write_text("\n".join(batches.vocabulary) + "\nblue\n")
    assert run(["index", str(source), *arguments, "--vocabulary", str(terms)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["n_docs"], printed["skipped"]) == (1, 0)
    with Retriever.open(tmp_path / "i") as retriever:
        assert [hit.id for hit in retriever.search({"lamp": 1.0}, 5)] == ["a"]
        assert not retriever.search({"blue": 1.0}, 5)


@pytest.mark.parametrize(
    "option",
    [
        ("--dense", "minilm"), ("--language", "de"), ("--k1", "1"), ("--b", "0"),
        ("--top-k", "3"), ("--max-length", "9"), ("--batch-size", "2"), ("--device", "cpu"),
        ("--query-encoder", "idf"), ("--input-format", "jsonl"), ("--on-error", "skip"),
        ("--max-errors", "1"),
    ],
)  # fmt: skip
def test_what_is_for_texts_is_refused_for_vectors(
    vectors: Path, option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = ["-o", str(tmp_path / "i"), "--encoder", "precomputed", *option]
    assert run(["index", str(vectors), *about]) == 2
    assert f"{option[0]}: says how texts are read" in capsys.readouterr().err
    assert not (tmp_path / "i").exists()


def test_a_vocabulary_is_for_vectors(
    vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = ["-o", str(tmp_path / "i"), "--encoder", "bm25", "--vocabulary", "x"]
    assert run(["index", str(vectors), *about]) == 2
    assert "--encoder precomputed" in capsys.readouterr().err
    assert run(["index", str(tmp_path), "-o", str(tmp_path / "i"), "--encoder", "precomputed"]) == 2
    assert "takes a file of vectors" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["x.bin", "x.csv", "x.md", "x", "folder", "gone", "empty.txt"])
@pytest.mark.parametrize("format", [*OF_FILES, "xml"])
def test_no_format_with_any_source_is_an_unexpected_error(
    format: str, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("storm")
    for name in ("x.bin", "x.csv", "x.md", "x"):
        (tmp_path / name).write_text('{"id": "a", "text": "storm"}\n')
    (tmp_path / "empty.txt").write_text("")
    about = ["-o", str(tmp_path / "i"), "--encoder", "bm25", "--input-format", format]
    code = run(["index", str(tmp_path / source), *about])
    printed = capsys.readouterr().err
    assert code in (0, 1, 2)
    assert "unexpected" not in printed, printed
    assert code == 0 or str(tmp_path / source) in printed or "format 'xml'" in printed
