"""JSON lines and BEIR folders: fields, bad lines, limits, duplicates, errors of whole sources."""

import gzip
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import Limits, open_corpus
from lsr.errors import CorpusError, UsageError
from lsr.records import Document
from tests.lsr.refusals import message_of
from tests.shared import shared_path


def written(tmp_path, *lines, name="corpus.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


def record(doc_id="1", text="text", **more):
    return json.dumps({"_id": doc_id, "text": text, **more})


@pytest.mark.parametrize("id_name", ["_id", "id", "docid", "docno"])
@pytest.mark.parametrize("text_name", ["text", "contents", "content", "body"])
def test_usual_field_names(tmp_path, id_name, text_name):
    line = json.dumps({text_name: "some text", id_name: "d1", "title": "T", "year": 1999})
    [document] = open_corpus(written(tmp_path, line))
    assert document == Document("d1", "some text", "T", {"year": 1999})


def test_field_names_of_the_user(tmp_path):
    line = json.dumps({"key": "d1", "abstract": "a", "head": "h", "id": "other", "text": "t"})
    corpus = open_corpus(
        written(tmp_path, line), id_field="key", text_field="abstract", title_field="head"
    )
    assert list(corpus) == [Document("d1", "a", "h", {"id": "other", "text": "t"})]


def test_missing_fields_are_listed_with_those_found(tmp_path):
    path = written(tmp_path, '{"key": "d1", "abstract": "a"}')
    message = message_of(path)
    assert message.startswith(f"{path}:1: no id field: expected _id or id or docid")
    assert "found key, abstract" in message
    assert "rename" in message
    assert "no text field" in message_of(path, id_field="key")


def test_metadata_keep_json_values_and_a_nested_object_is_spread(tmp_path):
    path = written(
        tmp_path,
        record("1", metadata={"url": "u", "year": 1}, year=2, tags=["a", {"b": None}]),
        record("2", metadata={}),
        record("3", metadata="plain"),
        record("4", title=None),
        record(5),
    )
    documents = list(open_corpus(path))
    assert documents[0].metadata == {"url": "u", "year": 2, "tags": ["a", {"b": None}]}
    assert documents[1].metadata == {}
    assert documents[2].metadata == {"metadata": "plain"}
    assert documents[3].title == ""
    assert documents[4].id == "5"


def test_empty_documents_are_kept(tmp_path):
    path = written(tmp_path, record("1", ""), record("2", "", title=""))
    assert [document.contents for document in open_corpus(path)] == ["", ""]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "no valid JSON"),
        ("[1]", "expected a JSON object"),
        ("17", "expected a JSON object"),
        ('{"_id": "1", "text": "a"} {}', "no valid JSON"),
        ('{"_id": "1", "text": "a", "x": NaN}', "NaN and Infinity"),
        ('{"_id": "1", "text": "a", "x": -Infinity}', "NaN and Infinity"),
        ('{"_id": "1", "text": "a", "x": 1e999}', "no valid JSON: number is infinity"),
        ('{"_id": "1", "text": "\\ud800"}', "lone surrogate"),
        ('{"_id": "1", "text": 7}', 'field "text": expected a string, got a number'),
        ('{"_id": "1", "text": null}', 'field "text": expected a string, got null'),
        ('{"_id": "1", "text": ["a"]}', 'field "text": expected a string, got a list'),
        ('{"_id": true, "text": "a"}', 'field "_id": expected a string, got true or false'),
        ('{"_id": 1.5, "text": "a"}', 'field "_id": expected a string, got a number'),
        ('{"_id": {}, "text": "a"}', 'field "_id": expected a string, got an object'),
        ('{"_id": "1", "text": "a", "title": 3}', 'field "title": expected a string'),
        ('{"_id": "", "text": "a"}', "the id takes 0 bytes; expected 1 to 512"),
        ('{"_id": "a\\u0007", "text": "a"}', "control character"),
        ('{"_id": "a\\u0085", "text": "a"}', "control character"),
        ('{"_id": "a\\u0000", "text": "a"}', "control character"),
        ("[" * 5000 + "]" * 5000, "no valid JSON: depth limit"),
    ],
)
def test_bad_lines_name_file_line_and_reason(tmp_path, line, expected):
    path = written(tmp_path, record("ok"), "", line, record("fine"))
    message = message_of(path)
    assert message.startswith(f"{path}:3: ")
    assert expected in message
    corpus = open_corpus(path, on_error="skip")
    assert [document.id for document in corpus] == ["ok", "fine"]
    [error] = corpus.skipped
    assert error.line == 3


def test_bytes_that_are_no_utf8_name_the_byte(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b'{"_id": "1", "text": "caf\xe9"}\n')
    assert "1: not valid UTF-8 (byte 0xe9 at byte 26)" in message_of(path)


def test_an_escaped_nul_in_a_text_is_text(tmp_path):
    [document] = open_corpus(written(tmp_path, '{"_id": "1", "text": "a\\u0000b"}'))
    assert document.text == "a\0b"


def test_line_70000_of_100000(tmp_path):
    lines = [f'{{"_id": "{number}", "text": "t"}}' for number in range(1, 100_001)]
    lines[69_999] = '{"_id": "70000", "text": '
    path = written(tmp_path, *lines)
    read = []
    with pytest.raises(CorpusError, match=r"corpus\.jsonl:70000: no valid JSON"):
        read.extend(open_corpus(path))
    corpus = open_corpus(path, on_error="skip")
    assert sum(1 for _ in corpus) == 99_999
    assert [error.line for error in corpus.skipped] == [70_000]


def test_duplicate_ids_name_both_lines(tmp_path):
    path = written(tmp_path, record("a"), record("b"), "", record("a"))
    assert message_of(path) == (
        f"{path}:4: the id 'a' is taken by line 1 already; expected it only once"
    )
    corpus = open_corpus(path, on_error="skip")
    assert [document.id for document in corpus] == ["a", "b"]


@pytest.mark.parametrize(
    ("inside", "outside", "what"),
    [
        (record("x" * 512), record("x" * 513), "id takes 513 bytes"),
        (record("é" * 256), record("é" * 256 + "x"), "id takes 513 bytes"),
        (record(text="x" * 2**20), record(text="x" * (2**20 + 1)), "take 1,048,577 bytes"),
        (
            record(text="x" * 2**19, title="é" * 2**18),
            record(text="x" * 2**19, title="é" * 2**18 + "x"),
            "take 1,048,577 bytes",
        ),
        (record(m="x" * (2**16 - 8)), record(m="x" * (2**16 - 7)), "metadata take 65,537 bytes"),
        (
            record(m=json.loads("[" * 31 + "]" * 31)),
            record(m=json.loads("[" * 32 + "]" * 32)),
            "nested too deeply",
        ),
    ],
)
def test_limits_hold_at_n_and_at_n_plus_1(tmp_path, inside, outside, what):
    assert len(list(open_corpus(written(tmp_path, inside)))) == 1
    assert what in message_of(written(tmp_path, outside))


def test_limits_are_configurable(tmp_path):
    path = written(tmp_path, record("12345", "text"))
    assert "id takes 5 bytes" in message_of(path, limits=Limits(id_bytes=4))
    assert "take 4 bytes" in message_of(path, limits=Limits(text_bytes=3))


def test_max_errors_stops_a_file_that_is_all_wrong(tmp_path):
    path = written(tmp_path, record("1"), *["{"] * 5, record("2"))
    assert len(list(open_corpus(path, on_error="skip", max_errors=5))) == 2
    message = message_of(path, on_error="skip", max_errors=4)
    assert message.startswith(f"{path}:6: no valid JSON")
    assert "bad line number 5" in message
    assert message_of(path, on_error="skip", max_errors=0).startswith(f"{path}:2: ")


def test_skipped_lines_are_counted_anew_on_each_pass_and_kept_up_to_a_limit(tmp_path):
    path = written(tmp_path, record("1"), *["{"] * 1500)
    corpus = open_corpus(path, on_error="skip")
    for _ in range(2):
        assert len(list(corpus)) == 1
        assert corpus.n_skipped == 1500
        assert len(corpus.skipped) == 1000


def test_missing_empty_and_useless_sources(tmp_path):
    assert "no such file or folder" in message_of(tmp_path / "gone.jsonl")
    (tmp_path / "empty.jsonl").touch()
    assert "the file is empty" in message_of(tmp_path / "empty.jsonl")
    (tmp_path / "blank.jsonl").write_text("\n\n")
    assert "holds no document" in message_of(tmp_path / "blank.jsonl")
    (tmp_path / "bad.jsonl").write_text("{\n[\n")
    message = message_of(tmp_path / "bad.jsonl", on_error="skip")
    assert "all 2 lines were skipped" in message
    assert "bad.jsonl:1: no valid JSON" in message
    (tmp_path / "data.bin").write_text("x")
    assert "say which format it is: beir, " in message_of(tmp_path / "data.bin")
    assert "is a folder" in message_of(tmp_path, format="jsonl")
    assert "no corpus.jsonl" in message_of(tmp_path, format="beir")


def test_options_that_make_no_sense(tmp_path):
    path = written(tmp_path, record())
    for options in (
        {"on_error": "ignore"},
        {"max_errors": -1},
        {"passage_words": 0},
        {"format": "xml"},
    ):
        with pytest.raises(UsageError, match=f"{next(iter(options))}.*expected"):
            open_corpus(path, **options)


def test_the_format_option_overrules_the_suffix(tmp_path):
    path = written(tmp_path, record("1"), name="corpus.txt")
    assert [document.id for document in open_corpus(path, format="jsonl")] == ["1"]


def test_a_corpus_can_be_read_again_and_by_two_at_once(tmp_path):
    corpus = open_corpus(written(tmp_path, record("1"), record("2"), record("3")))
    assert list(corpus) == list(corpus)
    assert list(zip(corpus, corpus, strict=True)) == [(document, document) for document in corpus]


def test_fingerprint_follows_the_file_and_the_options(tmp_path):
    path = written(tmp_path, record("1"))
    first = open_corpus(path).fingerprint()
    assert first == open_corpus(path).fingerprint()
    assert first != open_corpus(path, text_field="text").fingerprint()
    assert first == open_corpus(path, on_error="skip").fingerprint()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    path.rename(moved / path.name)
    assert open_corpus(moved / path.name).fingerprint() == first
    os.utime(moved / path.name, ns=(1, 1))
    assert open_corpus(moved / path.name).fingerprint() != first


def test_beir_folder_plain_and_packed(tmp_path):
    written(tmp_path, record("1"))
    plain = open_corpus(tmp_path)
    assert plain.name == tmp_path.name
    assert plain.count_hint() == 1
    data = (tmp_path / "corpus.jsonl").read_bytes()
    (tmp_path / "corpus.jsonl").unlink()
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(data))
    assert list(open_corpus(tmp_path)) == list(
        plain.__class__(tmp_path / "corpus.jsonl.gz", plain.names, plain.rules)
    )
    (tmp_path / "corpus.jsonl.gz").write_bytes(b"")
    assert "the file is empty" in message_of(tmp_path)


def test_cranfield_keeps_its_two_empty_documents():
    corpus = open_corpus(shared_path("data/collections/cranfield"))
    documents = list(corpus)
    assert len(documents) == 1400
    assert corpus.count_hint() == pytest.approx(1400, rel=0.1)
    assert sum(not document.text.strip() for document in documents) == 2


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e9, 1e9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@given(
    st.lists(
        st.builds(
            Document,
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
            texts,
            texts,
            st.dictionaries(st.text("abcdef", min_size=1), values, max_size=3),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda document: document.id,
    ),
    st.booleans(),
)
def test_documents_come_back_as_they_were_written(tmp_path_factory, documents, escaped):
    lines = [
        json.dumps(
            {"_id": d.id, "text": d.text, "title": d.title, **d.metadata}, ensure_ascii=escaped
        )
        for d in documents
    ]
    path = tmp_path_factory.mktemp("jsonl") / "corpus.jsonl"
    path.write_bytes("\n".join(lines).encode())
    assert list(open_corpus(path)) == documents


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**64 - 1, 2**53 + 1])
def test_integers_keep_64_bits(tmp_path, number):
    path = written(tmp_path, f'{{"id": "a", "text": "x", "n": [{number}], "m": {{"k": {number}}}}}')
    (document,) = open_corpus(path)
    assert document.metadata == {"n": [number], "m": {"k": number}}


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**25])
@pytest.mark.parametrize("place", ["{}", "[1,{}]", '{{"k": {}}}'])
def test_longer_integers_are_refused_and_not_rounded(tmp_path, number, place):
    path = written(tmp_path, f'{{"id": "a", "text": "x", "n": {place.format(number)}}}')
    assert "an integer of more than 64 bits" in message_of(path)


def test_what_only_looks_like_a_long_integer_is_kept(tmp_path):
    digits = "1" * 30
    line = f'{{"id": "a", "text": "x", "s": "{digits}", "f": {digits}.5, "e": {digits}e3}}'
    (document,) = open_corpus(written(tmp_path, line))
    assert document.metadata == {"s": digits, "f": float(digits), "e": float(f"{digits}e3")}
