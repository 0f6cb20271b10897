"""Lines of text files: every oddity has a defined outcome, and memory stays bounded."""

import gzip
import io
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.lines import (
    MAX_LINE_BYTES,
    estimate_lines,
    read_lines,
    read_text_lines,
    split_blanks,
)
from lsr.errors import CorpusError

BOM = b"\xef\xbb\xbf"


def lines_of(path, **options):
    return [(line.number, line.problem or line.data) for line in read_lines(path, **options)]


def written(tmp_path, data, name="x.txt"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\nb\n", [(1, b"a"), (2, b"b")]),
        (b"a\nb", [(1, b"a"), (2, b"b")]),
        (b"a\r\nb\r\n", [(1, b"a"), (2, b"b")]),
        (b"a\rb\nc\r", [(1, b"a\rb"), (2, b"c\r")]),
        (BOM + b"a\nb\n", [(1, b"a"), (2, b"b")]),
        (b"a\n" + BOM + b"b\n", [(1, b"a"), (2, BOM + b"b")]),
        (b"\n\r\n  \t\na\n\n", [(4, b"a")]),
        (b"", []),
        (BOM, []),
        ("é\u2028\x85 \x0b\n".encode(), [(1, "é\u2028\x85 \x0b".encode())]),
    ],
    ids=[
        "lf",
        "no end",
        "crlf",
        "cr",
        "bom",
        "bom inside",
        "blank",
        "empty",
        "only bom",
        "unicode",
    ],
)
def test_line_endings_and_marks(tmp_path, data, expected):
    assert lines_of(written(tmp_path, data)) == expected
    assert lines_of(written(tmp_path, gzip.compress(data), "x.txt.gz")) == expected


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    assert lines_of(written(tmp_path, gzip.compress(b"a\n"), "plain.txt")) == [(1, b"a")]
    assert lines_of(written(tmp_path, b"a\n", "named.gz")) == [(1, b"a")]


def test_a_nul_byte_is_a_problem_of_its_line_only(tmp_path):
    (one, two, three) = lines_of(written(tmp_path, b"a\nb\0b\nc\n"))
    assert (one, three) == ((1, b"a"), (3, b"c"))
    assert two[0] == 2
    assert "NUL" in two[1]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("mark", [b"", BOM])
def test_the_cap_counts_neither_mark_nor_ending(tmp_path, mark, ending):
    at_cap = mark + b"x" * 100 + ending
    assert lines_of(written(tmp_path, at_cap), max_bytes=100) == [(1, b"x" * 100)]
    above = mark + b"x" * 101 + ending
    [(number, problem)] = lines_of(written(tmp_path, above), max_bytes=100)
    assert number == 1
    assert "longer than 100 bytes" in problem


def test_reading_goes_on_after_a_line_above_the_cap(tmp_path):
    path = written(tmp_path, b"a\n" + b"x" * 5000 + b"\nb\n")
    first, second, third = lines_of(path, max_bytes=100)
    assert (first, third) == ((1, b"a"), (3, b"b"))
    assert "longer than" in second[1]


def test_a_line_above_the_cap_never_is_in_memory(tmp_path):
    path = tmp_path / "long.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"x" * 2**20)
        file.write(b"\nb\n")
    tracemalloc.start()
    first, second = lines_of(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"{MAX_LINE_BYTES:,}" in first[1]
    assert second == (2, b"b")
    assert peak < 3.5 * MAX_LINE_BYTES


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_named(tmp_path, encoding):
    path = written(tmp_path, "a\n".encode(encoding))
    with pytest.raises(CorpusError, match=rf"encoded in {encoding.upper()}.*iconv"):
        lines_of(path)


def test_damaged_gzip_names_the_last_good_line(tmp_path):
    lines = b"".join(b"%d %x\n" % (i, i * 2654435761 % 2**32) for i in range(20_000))
    whole = gzip.compress(lines)
    with pytest.raises(CorpusError, match=r"x\.gz: compressed data .* after line \d+"):
        lines_of(written(tmp_path, whole[: len(whole) // 2], "x.gz"))
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    with pytest.raises(CorpusError, match=r"x\.gz: compressed data .* after line \d+"):
        lines_of(written(tmp_path, bytes(broken), "x.gz"))


def test_what_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"gone: cannot be read \(No such file"):
        lines_of(tmp_path / "gone")
    with pytest.raises(CorpusError, match=r"cannot be read \(Is a directory"):
        lines_of(tmp_path)


@given(
    st.lists(st.binary(max_size=30).filter(lambda line: not set(line) & {0, 10, 13})),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_lines_come_back_as_they_were_written(tmp_path_factory, lines, ending, mark, packed):
    data = ending.join(lines)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b") or data.startswith((BOM, b"\0\0")):
        return
    data = (BOM if mark else b"") + data
    path = tmp_path_factory.mktemp("lines") / "x"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert lines_of(path) == [
        (number, line) for number, line in enumerate(lines, 1) if line and not line.isspace()
    ]


def test_estimates_are_exact_for_small_files_and_close_for_large_ones(tmp_path):
    assert estimate_lines(written(tmp_path, b"a\n\nb")) == 2
    large = b"".join(b"document %d %d\n" % (i, i * i) for i in range(200_000))
    for name, data in (("x", large), ("x.gz", gzip.compress(large))):
        assert estimate_lines(written(tmp_path, data, name)) == pytest.approx(200_000, rel=0.2)
    assert estimate_lines(tmp_path / "gone") is None


ODD = "a7é日 \u00a0\u1680\u2003\u2028\u2029\u3000\ufeff'"
IDS = st.text(ODD, min_size=1, max_size=6).filter(lambda text: text.strip(" ") != "")


@given(
    st.lists(IDS.filter(lambda text: text[0] != "\ufeff"), min_size=1, max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_ids_arrive_as_they_are(ids, ending, mark, last, packed, piped):
    data = (BOM if mark else b"") + ending.join(doc_id.encode() for doc_id in ids)
    data += ending if last else b""
    data = gzip.compress(data) if packed else data
    with pytest.MonkeyPatch.context() as patch:
        if piped:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
            path = Path("-")
        else:
            path = Path("ids.txt")
            patch.setattr(Path, "open", lambda *_: io.BufferedReader(io.BytesIO(data)))
        assert [text for _, text in read_text_lines(path)] == ids


@given(st.lists(st.text(ODD.replace(" ", ""), min_size=1), max_size=5), st.data())
def test_columns_are_split_at_ascii_blanks_only(columns, data):
    blanks = st.text(" \t\x0b\x0c\r", min_size=1, max_size=2)
    line = data.draw(blanks) + "".join(column + data.draw(blanks) for column in columns)
    assert split_blanks(line) == columns
