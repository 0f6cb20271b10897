"""TSV and CSV: headers, positions, quoting, bad rows."""

import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import open_corpus
from lsr.records import Document
from tests.lsr.refusals import message_of


def written(tmp_path, data, name="corpus.tsv"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_two_and_three_columns_without_a_header(tmp_path):
    assert list(open_corpus(written(tmp_path, "1\tfirst\n2\tsecond"))) == [
        Document("1", "first"),
        Document("2", "second"),
    ]
    assert list(open_corpus(written(tmp_path, "1\tT\tfirst\n"))) == [Document("1", "first", "T")]


def test_a_header_names_columns_in_any_order_and_case(tmp_path):
    path = written(tmp_path, "URL\tText\tDocNo\tTitle\nhttp://x\tbody\td1\thead\n")
    assert list(open_corpus(path)) == [Document("d1", "body", "head", {"URL": "http://x"})]


def test_quotes_and_commas_are_text_in_tsv(tmp_path):
    path = written(tmp_path, "1\t\"quoted, text\n2\tit's\n")
    assert [document.text for document in open_corpus(path)] == ['"quoted, text', "it's"]


def test_csv_quoting_across_lines(tmp_path):
    text = 'id,text\n1,"a, ""b""\n\nc"\n\n2,plain\n'
    for data, name in ((text, "c.csv"), (text.replace("\n", "\r\n"), "c.csv")):
        assert list(open_corpus(written(tmp_path, data, name))) == [
            Document("1", 'a, "b"\n\nc'),
            Document("2", "plain"),
        ]
    packed = written(tmp_path, gzip.compress(text.encode()), "c.csv.gz")
    assert len(list(open_corpus(packed))) == 2


def test_columns_chosen_by_the_user(tmp_path):
    path = written(tmp_path, "d1\thttp://x\thead\tbody\n")
    corpus = open_corpus(path, id_field="1", text_field="4", title_field="3")
    assert list(corpus) == [Document("d1", "body", "head", {"2": "http://x"})]
    path = written(tmp_path, "key\tabstract\nd1\tbody\n")
    assert list(open_corpus(path, id_field="key", text_field="abstract")) == [
        Document("d1", "body")
    ]


def test_columns_that_do_not_fit_are_listed(tmp_path):
    message = message_of(written(tmp_path, "key\tabstract\tyear\turl\n1\ta\t2\tu\n"))
    assert ":1: no id field" in message
    assert "found key, abstract, year, url" in message
    assert "found a, b" in message_of(written(tmp_path, "a\tb\n"), id_field="key")
    assert "names a column twice" in message_of(written(tmp_path, "id\ttext\tid\n"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (b"2\ta\tb\n", "expected 2 columns (id, text), got 3"),
        (b"2\n", "expected 2 columns (id, text), got 1"),
        (b"2\tcaf\xe9\n", "not valid UTF-8"),
        (b"2\ta\0b\n", "NUL"),
        (b"\ttext\n", "the id takes 0 bytes"),
        (b"1\tagain\n", "the id '1' is taken by line 1 already"),
    ],
)
def test_bad_rows_name_file_line_and_reason(tmp_path, row, expected):
    path = written(tmp_path, b"1\tfirst\n\n" + row + b"9\tlast\n")
    message = message_of(path)
    assert message.startswith(f"{path}:3: ")
    assert expected in message
    assert [document.id for document in open_corpus(path, on_error="skip")] == ["1", "9"]


def test_bad_csv_rows_leave_the_rest_readable(tmp_path):
    path = written(tmp_path, b'id,text\n1,a\n2,caf\xe9\n3,"x"y\n4,b\n5,"open\nend', "c.csv")
    corpus = open_corpus(path, on_error="skip")
    assert [document.id for document in corpus] == ["1", "4"]
    assert [error.line for error in corpus.skipped] == [3, 4, 7]
    assert "the record starts on line 6" in str(corpus.skipped[-1])


def test_an_unclosed_quote_does_not_swallow_the_file(tmp_path):
    path = written(tmp_path, 'id,text\n1,"' + ("x" * 2**20 + "\n") * 20, "c.csv")
    assert "no valid CSV" in message_of(path)


def test_a_broken_first_line_is_final(tmp_path):
    path = written(tmp_path, b"caf\xe9\tx\n1\ta\n")
    assert "1: not valid UTF-8" in message_of(path, on_error="skip")


def test_damaged_gzip_ends_reading(tmp_path):
    rows = "".join(f"{i},text {i * 2654435761 % 2**32}\n" for i in range(5000)).encode()
    packed = gzip.compress(rows)
    for name in ("c.csv.gz", "c.tsv.gz"):
        data = packed if name == "c.csv.gz" else gzip.compress(rows.replace(b",", b"\t"))
        path = written(tmp_path, data[: len(data) // 2], name)
        assert "compressed data" in message_of(path, on_error="skip")


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=15)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
def test_csv_round_trip(tmp_path_factory, rows):
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["id", "title", "text"])
    for number, (title, text) in enumerate(rows):
        writer.writerow([str(number), title, text])
    path = tmp_path_factory.mktemp("csv") / "corpus.csv"
    path.write_bytes(buffer.getvalue().encode())
    assert list(open_corpus(path)) == [
        Document(str(number), text, title) for number, (title, text) in enumerate(rows)
    ]


@pytest.mark.parametrize("kind", ["csv", "tsv"])
@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("header", [["id", "text", "price"], ["7", "red lamp"]])
def test_another_separator_is_named(tmp_path, kind, separator, header):
    path = written(tmp_path, separator.join(header) + "\n", f"table.{kind}")
    if separator == {"csv": ",", "tsv": "\t"}[kind]:
        assert "separator" not in message_of(path) if header[0] == "id" else list(open_corpus(path))
    else:
        assert f"not {separator!r}; convert the file" in message_of(path)
