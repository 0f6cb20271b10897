"""Query files: JSON lines, TSV topics, BEIR folders, limits."""

import json

import pytest

from lsr.corpus.queries import open_queries
from lsr.errors import CorpusError
from lsr.records import Query
from tests.shared import shared_path


def message_of(path, **options):
    with pytest.raises(CorpusError) as caught:
        list(open_queries(path, **options))
    return str(caught.value)


def test_topics_in_tsv_with_and_without_a_header(tmp_path):
    for name in ("topics.tsv", "topics.txt", "topics"):
        path = tmp_path / name
        path.write_text("q1\tfirst query\nq2\t\n")
        assert list(open_queries(path)) == [Query("q1", "first query"), Query("q2", "")]
    path.write_text("qid\tquery\nq1\tfirst\n")
    assert list(open_queries(path)) == [Query("q1", "first")]
    path.write_text("q1\ta\tb\n")
    assert ":1: no id field" in message_of(path)


def test_queries_in_json_lines_and_beir_folders(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text('{"_id": "1", "text": "a", "metadata": {"x": 1}}\n{"qid": 2, "query": "b"}\n')
    assert list(open_queries(path)) == list(open_queries(tmp_path))
    assert list(open_queries(path)) == [Query("1", "a"), Query("2", "b")]


def test_length_is_counted_in_characters(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text(json.dumps({"_id": "1", "text": "é" * 8192}))
    assert len(list(open_queries(path))) == 1
    path.write_text(json.dumps({"_id": "1", "text": "e" * 8193}))
    assert "8,193 characters; at most 8,192" in message_of(path)
    assert len(list(open_queries(path, max_chars=9000))) == 1


def test_errors_name_the_line(tmp_path):
    path = tmp_path / "topics.tsv"
    path.write_text("1\ta\n1\tb\n2\tc\n")
    assert message_of(path).startswith(f"{path}:2: the id '1' is taken by line 1")
    queries = open_queries(path, on_error="skip")
    assert [query.id for query in queries] == ["1", "2"]
    assert [error.line for error in queries.skipped] == [2]
    assert "no such file" in message_of(tmp_path / "gone.tsv")
    path.write_text("\n")
    assert "holds no query" in message_of(path)
    assert "no queries.jsonl" in message_of(tmp_path)


def test_real_topics():
    queries = list(open_queries(shared_path("data/queries/msmarco-dev-subset.tsv")))
    assert len(queries) == 6980
    assert queries[0] == Query("1048585", "what is paula deen's brother")
    assert len(list(open_queries(shared_path("data/collections/scifact")))) == 1109
