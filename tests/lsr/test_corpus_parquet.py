"""Parquet corpora: columns, types, nulls, damage."""

import datetime
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsr.corpus import open_corpus
from lsr.records import Document
from tests.lsr.refusals import message_of


def written(tmp_path, columns, **options):
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_columns_become_documents(tmp_path):
    path = written(
        tmp_path,
        {
            "docid": [7, 8],
            "contents": ["a", ""],
            "title": ["T", None],
            "year": pa.array([1999, None], pa.int16()),
            "score": [0.5, float("nan")],
            "tags": [["x"], []],
            "day": [datetime.date(2020, 1, 2), None],
            "metadata": ['{"url": "u"}', "{}"],
        },
    )
    corpus = open_corpus(path)
    assert corpus.count_hint() == 2
    assert list(corpus) == list(corpus)
    assert list(corpus) == [
        Document(
            "7",
            "a",
            "T",
            {"year": 1999, "score": 0.5, "tags": ["x"], "day": "2020-01-02", "url": "u"},
        ),
        Document("8", "", "", {"year": None, "score": None, "tags": [], "day": None}),
    ]


def test_rows_stream_across_row_groups(tmp_path):
    ids = [str(number) for number in range(5000)]
    path = written(tmp_path, {"id": ids, "text": ids}, row_group_size=700)
    assert [document.id for document in open_corpus(path)] == ids


def test_fields_that_are_missing_are_listed(tmp_path):
    path = written(tmp_path, {"key": ["1"], "abstract": ["a"]})
    assert "found key, abstract" in message_of(path)
    assert list(open_corpus(path, id_field="key", text_field="abstract")) == [Document("1", "a")]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": ["1", None], "text": ["a", "b"]}, 'field "id": expected a string, got null'),
        ({"id": ["1", "2"], "text": ["a", None]}, 'field "text": expected a string, got null'),
        ({"id": ["1", "1"], "text": ["a", "b"]}, "taken by line 1 already"),
        (
            {"id": ["1", "2"], "text": ["a", "b"], "x": [None, b"bytes"]},
            'column "x": bytes has no JSON form',
        ),
        (
            {"id": ["1", "2"], "text": ["a", "b"], "x": [0.0, float("inf")]},
            "inf is not a JSON number",
        ),
    ],
)
def test_bad_rows_name_file_row_and_reason(tmp_path, columns, expected):
    path = written(tmp_path, columns)
    message = message_of(path)
    assert message.startswith(f"{path}:2: ")
    assert expected in message
    assert [document.id for document in open_corpus(path, on_error="skip")] == ["1"]


def test_strings_that_are_no_utf8_spoil_their_row_only(tmp_path):
    texts = pa.array([b"good", b"caf\xe9", b"fine"])
    spoiled = pa.StringArray.from_buffers(3, texts.buffers()[1], texts.buffers()[2])
    path = written(tmp_path, {"id": ["1", "2", "3"], "text": spoiled})
    assert message_of(path).startswith(f"{path}:2: a string is not valid UTF-8")
    assert [document.id for document in open_corpus(path, on_error="skip")] == ["1", "3"]


def test_damaged_files(tmp_path):
    path = tmp_path / "corpus.parquet"
    path.write_bytes(b"no parquet at all")
    assert "no readable Parquet file" in message_of(path)
    path = written(tmp_path, {"id": [str(i) for i in range(9000)], "text": ["text"] * 9000})
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    assert "no readable Parquet file" in message_of(path)
    data[200:1200] = bytes(1000)
    path.write_bytes(data)
    assert "damaged after row 0" in message_of(path)
    pq.write_table(
        pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())}), path
    )
    assert "holds no document" in message_of(path)


NS = 1709294400123456789  # 2024-03-01T12:00:00.123456789Z
WRITTEN = "2024-03-01T12:00:00.123456789"


@pytest.mark.parametrize("pandas", [True, False], ids=["pandas", "no pandas"])
def test_times_in_nanoseconds_are_dates_with_all_their_digits(tmp_path, monkeypatch, pandas):
    if not pandas:
        monkeypatch.setitem(sys.modules, "pandas", None)
    stamp, zoned = pa.timestamp("ns"), pa.timestamp("ns", "UTC")
    columns = {
        "at": pa.array([NS, NS // 10**9 * 10**9, -1], stamp),
        "zoned": pa.array([NS, NS // 1000 * 1000, None], zoned),
        "list": pa.array([[NS, None], [], None], pa.list_(stamp)),
        "nested": pa.array([{"t": NS}, {"t": None}, None], pa.struct([("t", stamp)])),
        "clock": pa.array([1, 10**9, 86_399_999_999_999], pa.time64("ns")),
        "micro": pa.array([NS // 1000] * 3, pa.timestamp("us")),
    }
    path = written(tmp_path, {"id": ["a", "b", "c"], "text": ["x"] * 3, **columns})
    a, b, c = (document.metadata for document in open_corpus(path))
    assert a == {
        "at": WRITTEN,
        "zoned": f"{WRITTEN}+00:00",
        "list": [WRITTEN, None],
        "nested": {"t": WRITTEN},
        "clock": "00:00:00.000000001",
        "micro": WRITTEN[:-3],
    }
    assert (b["at"], b["zoned"]) == ("2024-03-01T12:00:00", f"{WRITTEN[:-3]}+00:00")
    assert (b["clock"], b["nested"], b["list"]) == ("00:00:01", {"t": None}, [])
    assert c["at"] == "1969-12-31T23:59:59.999999999"
    assert c["clock"] == "23:59:59.999999999"


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 2**64 - 1])
def test_integers_keep_64_bits(tmp_path, number):
    columns = {"id": ["a"], "text": ["x"], "n": pa.array([number], pa.uint64())}
    columns["metadata"] = [f'{{"m": {number}}}']
    assert [d.metadata for d in open_corpus(written(tmp_path, columns))] == [
        {"n": number, "m": number}
    ]
