"""Anserini JSON lines: round trips, vocabularies, and every malformed line named."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import VectorError
from lsr.records import Document
from lsr.vectors import read_anserini, write_anserini
from lsr.vocabulary import Vocabulary
from tests.lsr.test_vectors_parquet import batch_of, cut, rows, rows_of


def written(tmp_path, *lines, name="v.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


def line(doc_id="1", vector=None, **more):
    return json.dumps({"id": doc_id, "contents": "", "vector": vector or {"cat": 1.5}, **more})


def message_of(path, **options):
    with pytest.raises(VectorError) as caught:
        list(read_anserini(path, **options))
    return str(caught.value)


@given(rows, st.integers(1, 5), st.booleans())
def test_round_trip_with_ids_as_terms(tmp_path_factory, rows, size, packed):
    path = tmp_path_factory.mktemp("vectors") / ("v.jsonl.gz" if packed else "v.jsonl")
    assert write_anserini(path, cut(rows, size)) == len(rows)
    file = read_anserini(path, integer_terms=True, batch_docs=size)
    assert file.vocabulary is None
    assert rows_of(file) == rows_of(file) == rows


@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
            st.floats(np.float32(1e-6), 1e4, width=32),
            max_size=5,
        ),
        max_size=6,
    )
)
def test_round_trip_with_a_vocabulary(tmp_path_factory, vectors):
    folder = tmp_path_factory.mktemp("vectors")
    vocabulary = Vocabulary()
    by_id = [{vocabulary.add(term): weight for term, weight in v.items()} for v in vectors]
    rows = [(Document(str(i), f"text {i}"), vector) for i, vector in enumerate(by_id)]
    write_anserini(folder / "v.jsonl", [batch_of(rows)], vocabulary)
    lines = (folder / "v.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["vector"].keys() for line in lines] == [v.keys() for v in vectors]

    known = read_anserini(folder / "v.jsonl", vocabulary=vocabulary, fixed=True)
    assert rows_of(known) == rows
    grown = read_anserini(folder / "v.jsonl")
    terms = [
        {grown.vocabulary.term(term_id): weight for term_id, weight in vector.items()}
        for _, vector in rows_of(grown)
    ]
    assert terms == vectors
    fingerprint = grown.vocabulary.fingerprint
    assert len(rows_of(grown)) == len(vectors)
    assert grown.vocabulary.fingerprint == fingerprint


def test_a_file_as_anserini_takes_it(tmp_path):
    path = written(
        tmp_path,
        '{"id": "d1", "contents": "a cat", "vector": {"cat": 120, "##s": 3}}',
        "",
        '{"id": 7, "vector": {"cat": 0, "dog": 2.5}, "url": "u", "title": "T"}',
        '{"id": "empty", "contents": "", "vector": {}}',
    )
    file = read_anserini(path)
    assert rows_of(file) == [
        (Document("d1", "a cat"), {0: 120.0, 1: 3.0}),
        (Document("7", "", "T", {"url": "u"}), {2: 2.5}),
        (Document("empty", ""), {}),
    ]
    assert list(file.vocabulary) == ["cat", "##s", "dog"]


def test_a_folder_of_parts(tmp_path):
    written(tmp_path, line("1"), line("2"), name="docs01.jsonl")
    (tmp_path / "docs00.json.gz").write_bytes(gzip.compress(line("0").encode()))
    (tmp_path / "README").write_text("not a part")
    file = read_anserini(tmp_path, batch_docs=2)
    assert [batch.ids for batch in file] == [["0", "1"], ["2"]]
    written(tmp_path, line("1"), name="docs02.jsonl")
    assert "docs02.jsonl:1: the id '1' is taken by document 2" in message_of(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("[1]", "expected a JSON object"),
        ('{"id": "1", "contents": ""}', 'expected an object "vector"'),
        ('{"id": "1", "vector": [["cat", 1]]}', 'expected an object "vector"'),
        ('{"contents": "", "vector": {}}', "no id field"),
        ('{"id": 1.5, "vector": {}}', 'field "id": expected a string'),
        ('{"id": "1", "contents": 3, "vector": {}}', 'field "contents": expected a string'),
        ('{"id": "1", "vector": {"cat": 1, "cat": 2}}', "'cat' appears twice"),
        ('{"id": "1", "vector": {"cat": NaN}}', "NaN is no JSON"),
        ('{"id": "1", "vector": {"cat": Infinity}}', "Infinity is no JSON"),
        ('{"id": "1", "vector": {"cat": 1e999}}', "term 'cat': expected a finite weight"),
        ('{"id": "1", "vector": {"cat": -1}}', "term 'cat': expected a finite weight"),
        ('{"id": "1", "vector": {"cat": 10001}}', "term 'cat': expected a finite weight"),
        ('{"id": "1", "vector": {"cat": "1"}}', "term 'cat': expected a finite weight"),
        ('{"id": "1", "vector": {"cat": true}}', "term 'cat': expected a finite weight"),
        ('{"id": "1", "vector": {"cat": null}}', "term 'cat': expected a finite weight"),
        ('{"id": "1", "vector": {"": 1}}', "a term must not be empty"),
        ('{"id": "1", "vector": {"\\ud800": 1}}', "no valid Unicode"),
        ('{"id": "\\ud800", "vector": {}}', "the id holds a lone surrogate"),
        ('{"id": "ok", "vector": {}}', "the id 'ok' is taken by document 1"),
    ],
)
def test_bad_lines_name_file_line_and_reason(tmp_path, text, expected):
    path = written(tmp_path, line("ok"), "", text, line("fine"))
    message = message_of(path)
    assert message.startswith(f"{path}:3: ")
    assert expected in message


@pytest.mark.parametrize("term", ["cat", "-1", "4294967296", "1.0", "", "٣"])
def test_terms_that_are_no_ids(tmp_path, term):
    path = written(tmp_path, line("1", {term: 1}))
    assert f"term {term!r}: expected a term id" in message_of(path, integer_terms=True)


def test_two_spellings_of_one_id(tmp_path):
    path = written(tmp_path, line("0"), line("1", {"1": 1, "01": 2}))
    path.write_text(line("0", {"5": 1}) + "\n" + line("1", {"1": 1, "01": 2}))
    message = message_of(path, integer_terms=True)
    assert message == f"{path}:2: term id 1 appears twice; a vector holds each term once"


def test_terms_outside_of_a_fixed_vocabulary(tmp_path):
    path = written(tmp_path, line("1", {"cat": 1}), line("2", {"dog": 1}))
    vocabulary = Vocabulary(["cat"])
    message = message_of(path, vocabulary=vocabulary, fixed=True)
    assert message.startswith(f"{path}:2: term 'dog' is not in the vocabulary")
    assert len(vocabulary) == 1


def test_sources_that_are_not_there(tmp_path):
    assert "found nothing" in message_of(tmp_path / "gone.jsonl")
    assert "an empty folder or other files" in message_of(tmp_path)
    path = tmp_path / "v.jsonl.gz"
    path.write_bytes(gzip.compress(line("1").encode() * 50)[:-20])
    assert "compressed data" in message_of(path)


def test_batches_are_bounded_by_bytes_too(tmp_path):
    text = "x" * 1_000_000
    path = written(tmp_path, *(line(str(i), contents=text) for i in range(40)))
    assert [batch.n_docs for batch in read_anserini(path)] == [34, 6]


def test_an_id_without_a_term_cannot_be_written(tmp_path):
    batch = batch_of([(Document("1", ""), {1: 1.0})])
    with pytest.raises(VectorError, match="document '1': term id 1 has no term"):
        write_anserini(tmp_path / "v.jsonl", [batch], Vocabulary.from_mapping({"a": 0}, 3))
    assert list(tmp_path.iterdir()) == []


def test_packed_files_do_not_depend_on_the_time_or_the_name(tmp_path):
    batch = batch_of([(Document("1", "a"), {1: 1.0})])
    write_anserini(tmp_path / "a.jsonl.gz", [batch])
    write_anserini(tmp_path / "b.jsonl.gz", [batch])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
