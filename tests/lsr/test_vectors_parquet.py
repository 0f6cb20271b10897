"""Parquet vectors: round trips, and every malformed row named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import open_corpus
from lsr.errors import VectorError
from lsr.records import Document, DocumentBatch
from lsr.sparse import SparseBatch
from lsr.vectors import read_parquet, write_parquet
from lsr.vectors.parquet import rechunked
from tests.shared import run_python

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
vectors = st.dictionaries(
    st.integers(0, 2**32 - 1), st.floats(np.float32(1e-6), 1e4, width=32), max_size=6
)
rows = st.lists(
    st.tuples(
        st.builds(
            Document,
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9),
            texts,
            texts,
            st.dictionaries(texts, st.none() | st.integers(0, 9) | st.lists(texts), max_size=2),
        ),
        vectors,
    ),
    max_size=8,
    unique_by=lambda row: row[0].id,
)


def batch_of(rows):
    documents = [document for document, _ in rows]
    return DocumentBatch(
        [document.id for document in documents],
        SparseBatch.from_rows([vector for _, vector in rows]),
        [document.text for document in documents],
        [document.title for document in documents],
        [document.metadata for document in documents],
    )


def rows_of(batches):
    return [
        (document, dict(zip(*(part.tolist() for part in batch.vectors.row(i)), strict=True)))
        for batch in batches
        for i, document in enumerate(batch.documents())
    ]


def cut(rows, size):
    return [batch_of(rows[i : i + size]) for i in range(0, len(rows), size)]


@given(rows, st.integers(1, 5), st.integers(1, 5))
def test_round_trip_for_any_cut_into_batches(tmp_path_factory, rows, written_by, read_by):
    path = tmp_path_factory.mktemp("vectors") / "v.parquet"
    assert write_parquet(path, cut(rows, written_by)) == len(rows)
    file = read_parquet(path, batch_docs=read_by)
    assert file.n_docs == len(file) == len(rows)
    assert rows_of(file) == rows_of(file) == rows
    assert all(batch.n_docs <= read_by for batch in file)


@given(rows, st.integers(1, 5))
def test_bytes_do_not_depend_on_the_cut(tmp_path_factory, rows, size):
    folder = tmp_path_factory.mktemp("vectors")
    write_parquet(folder / "a", [batch_of(rows)])
    write_parquet(folder / "b", cut(rows, size))
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


@given(st.lists(st.integers(0, 7), max_size=6), st.integers(1, 5))
def test_rechunking_keeps_documents_and_fills_batches(sizes, n_docs):
    rows = [(Document(str(i), ""), {i: 1.0}) for i in range(sum(sizes))]
    starts = np.cumsum([0, *sizes])
    batches = [batch_of(rows[low : low + n]) for low, n in zip(starts, sizes, strict=False)]
    chunks = list(rechunked(batches, n_docs))
    assert rows_of(chunks) == rows
    assert [chunk.n_docs for chunk in chunks[:-1]] == [n_docs] * max(0, len(chunks) - 1)


def table(n=3, **columns):
    return pa.table(
        {
            "id": [f"d{i}" for i in range(1, n + 1)],
            "indices": pa.array([[i, i + 1] for i in range(n)], pa.list_(pa.uint32())),
            "values": pa.array([[0.5, 1.5]] * n, pa.list_(pa.float32())),
            **columns,
        }
    )


def written(tmp_path, table, **options):
    path = tmp_path / "v.parquet"
    pq.write_table(table, path, **options)
    return path


def message_of(path):
    with pytest.raises(VectorError) as caught:
        list(read_parquet(path))
    return str(caught.value)


def test_optional_columns_and_other_number_types(tmp_path):
    path = written(
        tmp_path,
        table(
            indices=pa.array([[5, 1], [2], []], pa.large_list(pa.int64())),
            values=pa.array([[1.0, 0.0], [2.0], []], pa.large_list(pa.float64())),
        ),
    )
    assert rows_of(read_parquet(path)) == [
        (Document("d1", ""), {5: 1.0}),
        (Document("d2", ""), {2: 2.0}),
        (Document("d3", ""), {}),
    ]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": ["a", None, "c"]}, "row 2: the id is null"),
        ({"id": ["a", "b", "a"]}, "row 3: the id 'a' is taken by document 1 already"),
        ({"id": ["a", "", "c"]}, "row 2: the id takes 0 bytes"),
        ({"indices": [[0, 1], None, [2, 3]]}, "row 2: indices is null"),
        ({"indices": [[0, 1], [1, None], [2, 3]]}, "row 2: indices holds a null"),
        ({"values": [[1.0, 1.0], [1.0, None], [1.0, 1.0]]}, "row 2: values holds a null"),
        ({"indices": [[0, 1], [1], [2, 3]]}, "row 2: 1 indices for 2 values"),
        ({"indices": [[0, 1], [-1, 4], [2, 3]]}, "row 2: entry 0: expected a term id"),
        ({"indices": [[0, 1], [2**32, 4], [2, 3]]}, "row 2: entry 0: expected a term id"),
        ({"indices": [[0, 1], [2, 3], [4, 4]]}, "row 3: term id 4 appears twice"),
        ({"values": [[1.0, 1.0], [1.0, np.nan], [1.0, 1.0]]}, "row 2: entry 1: expected a finite"),
        ({"values": [[1.0, 1.0], [1.0, np.inf], [1.0, 1.0]]}, "row 2: entry 1: expected a finite"),
        ({"values": [[1.0, 1.0], [1.0, 1e40], [1.0, 1.0]]}, "row 2: entry 1: expected a finite"),
        ({"values": [[1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]}, "row 2: entry 1: expected a finite"),
        ({"values": [[1.0, 1.0], [1.0, 10001.0], [1.0, 1.0]]}, "row 2: entry 1: expected a fin"),
        ({"metadata": ["{}", "{", "{}"]}, "row 2: metadata are no valid JSON"),
        ({"metadata": ["{}", "[1]", "{}"]}, "row 2: metadata must be a JSON object"),
        ({"text": ["", "x" * (2**20 + 1), ""]}, "row 2: title and text take 1,048,577 bytes"),
    ],
)
def test_bad_rows_name_file_and_row(tmp_path, columns, expected):
    path = written(tmp_path, table(**columns), row_group_size=1)
    assert message_of(path).startswith(f"{path}: {expected}")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": [1, 2, 3]}, "column 'id' is int64; expected a string"),
        ({"indices": [[0.0], [1.0], [2.0]]}, "column 'indices' is list<"),
        ({"values": [[1], [1], [1]]}, "column 'values' is list<"),
        ({"values": [1.0, 1.0, 1.0]}, "column 'values' is double; expected a list of floats"),
        ({"title": [1, 2, 3]}, "column 'title' is int64; expected a string"),
    ],
)
def test_columns_of_other_types_are_refused(tmp_path, columns, expected):
    assert expected in message_of(written(tmp_path, table(**columns)))


def test_files_that_are_not_what_they_should_be(tmp_path):
    assert "no readable Parquet file" in message_of(tmp_path / "gone.parquet")
    path = tmp_path / "v.parquet"
    path.write_bytes(b"nothing of the kind")
    assert "no readable Parquet file" in message_of(path)
    assert "found key" in message_of(written(tmp_path, pa.table({"key": ["a"]})))
    path = written(tmp_path, table(5000), compression="none")
    data = bytearray(path.read_bytes())
    data[100:2100] = bytes(2000)
    path.write_bytes(data)
    assert message_of(path).startswith(f"{path}: damaged after row 0")


def test_nothing_is_left_behind_when_writing_fails(tmp_path):
    path = tmp_path / "v.parquet"
    write_parquet(path, [batch_of([(Document("old", ""), {1: 1.0})])])

    def batches():
        yield batch_of([(Document("new", ""), {1: 1.0})])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(path, batches())
    assert [file.name for file in tmp_path.iterdir()] == ["v.parquet"]
    assert rows_of(read_parquet(path))[0][0].id == "old"


def test_no_room_left_is_one_clear_error(tmp_path):
    code = """
import resource, sys
from lsr.errors import StorageFullError
from lsr.vectors import write_anserini, write_parquet
from tests.lsr.test_vectors_parquet import Document, batch_of
batch = batch_of([(Document(str(i), str(i**9)), {i: 1.0 + i / 7}) for i in range(9000)])
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for write in (write_parquet, write_anserini):
    try:
        write(sys.argv[1] + "/v", [batch])
    except StorageFullError as error:
        print(error)
"""
    lines = run_python(code, tmp_path).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{tmp_path}/v: no room left") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_the_texts_of_a_file_of_vectors_are_a_corpus(tmp_path):
    path = tmp_path / "v.parquet"
    documents = [Document("1", "a", "T", {"year": 1}), Document("2", "")]
    write_parquet(path, [batch_of([(document, {1: 1.0}) for document in documents])])
    assert list(open_corpus(path)) == documents
