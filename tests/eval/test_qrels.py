"""Relevance judgments from files: layouts, and what is refused with its line."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import open_corpus
from lsr.errors import CorpusError
from lsr.trec.qrels import read_qrels


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "test.tsv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "query-id\tcorpus-id\tscore\nq1\td 1\t2\nq1\td2\t0\nq0\td1\t1\n",
        "q1\td 1\t2\nq1\td2\t0\nq0\td1\t1",
        "q1\t0\td 1\t2\r\nq1\t0\td2\t0\r\nq0\t0\td1\t1\r\n",
        "\ufeffquery\tdoc\tRelevance\n\nq1\td 1\t2\n\nq1\td2\t 0 \nq1\td2\t0\nq0\td1\t1\n\n",
    ],
    ids=["BEIR", "no header, no last newline", "TREC with tabs, CRLF", "BOM, blanks, a repeat"],
)
def test_layouts_give_the_same_judgments(tmp_path: Path, text: str) -> None:
    qrels = read_qrels(written(tmp_path, text))
    assert qrels == {"q1": {"d 1": 2, "d2": 0}, "q0": {"d1": 1}}
    assert list(qrels) == ["q1", "q0"]


def test_trec_layout_with_spaces_and_negative_grades(tmp_path: Path) -> None:
    assert read_qrels(written(tmp_path, "1 Q0  a -2\n1 0 b 3\n")) == {"1": {"a": -2, "b": 3}}


def test_gzip(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv.gz"
    path.write_bytes(gzip.compress(b"1 0 a 1\n"))
    assert read_qrels(path) == {"1": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("q\td\t1\nq\td2\n", 2, "expected 3 columns"),
        ("q\td\n", 1, "expected 3 columns"),
        ("q\t0\td\t1\textra\n", 1, "expected 3 columns"),
        ("q\t0\td\t1\nq\td2\t1\n", 2, "expected 4 columns"),
        ("q\td\t1\nq\td2\thigh\n", 2, "integer, found 'high'"),
        ("q\td\t0.5\n", 1, "integer, found '0.5'"),
        ("q\td\t1\n\nquery-id\tcorpus-id\tscore\n", 3, "integer, found 'score'"),
        ("q\td\t1\nq\td\t2\n", 2, "grade 2 here and 1 further up"),
        ("q\t\t1\n", 1, "empty"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        read_qrels(written(tmp_path, text))
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{tmp_path / 'test.tsv'}:{line}: ")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_bytes(b"q\td\t1\nq\t\xff\t1\n")
    with pytest.raises(CorpusError, match=r"test\.tsv:2: not valid UTF-8"):
        read_qrels(path)


@pytest.mark.parametrize("text", ["", "\n\n", "query-id\tcorpus-id\tscore\n"])
def test_files_without_judgments(tmp_path: Path, text: str) -> None:
    with pytest.raises(CorpusError, match="no judgment"):
        read_qrels(written(tmp_path, text))


@given(st.lists(st.text("aé \u00a0\u2028\u3000", min_size=1), min_size=2, max_size=6, unique=True))
def test_ids_are_those_of_the_corpus(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    """Between tabs, ids stay as they are: the readers of documents do not strip them either."""
    folder = tmp_path_factory.mktemp("ids")
    text = "".join(f"{qid}\t{doc_id}\t1\n" for qid in ids for doc_id in ids)
    qrels = read_qrels(written(folder, text))
    assert qrels == {qid: dict.fromkeys(ids, 1) for qid in ids}
    documents = folder / "docs.tsv"
    documents.write_text("".join(f"{doc_id}\twords\n" for doc_id in ids), encoding="utf-8")
    assert [document.id for document in open_corpus(documents)] == ids
