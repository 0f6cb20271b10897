"""Ids and texts of a segment: they come back, and damage is found."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import CorruptIndexError, DataError
from lsr_index.segment.doc_ids import DocIdReader, DocIdWriter, encode_id
from lsr_index.segment.doc_store import (
    BLOCK_BYTES,
    DocumentReader,
    DocumentWriter,
    Record,
    encode_record,
)
from lsr_index.storage.container import Container, ContainerWriter, FileEntry
from lsr_index.storage.directory import OutputFile
from tests.index.faults.disk import SimulatedDisk

IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text("abc"), children),
    max_leaves=5,
)


def stored(doc_ids: list[str], records: list[Record]) -> tuple[SimulatedDisk, FileEntry]:
    disk = SimulatedDisk()
    with OutputFile(disk, Path("/tmp")) as out:
        container = ContainerWriter(out, "segment")
        documents, ids = DocumentWriter(container), DocIdWriter()
        for doc_id, record in zip(doc_ids, records, strict=True):
            documents.add(encode_record(doc_id, record.title, record.text, record.metadata))
        documents.finish()
        ids.add(doc_ids)
        ids.write(container)
        uuid = container.finish({})
    entry = FileEntry("segment", uuid.hex(), out.position, "")
    disk.rename(Path("/tmp"), Path("/") / entry.name)
    return disk, entry


def open_stored(
    doc_ids: list[str], records: list[Record] | None = None
) -> tuple[DocIdReader, DocumentReader]:
    records = records or [Record("", "", {})] * len(doc_ids)
    disk, entry = stored(doc_ids, records)
    container = Container(disk, Path("/"), entry)
    ids, documents = DocIdReader(container, len(doc_ids)), DocumentReader(container, len(doc_ids))
    ids.check()
    documents.check()
    return ids, documents


@settings(max_examples=60, deadline=None)
@given(st.lists(IDS, unique=True, max_size=20))
def test_every_id_is_found_where_it_was_put(doc_ids: list[str]) -> None:
    ids, _ = open_stored(doc_ids)
    assert ids.doc_ids(range(len(doc_ids))) == doc_ids
    assert [ids.find(doc_id) for doc_id in doc_ids] == list(range(len(doc_ids)))
    asked = [*reversed(doc_ids), "absent\x00"]
    assert dict(ids.find_all(asked)) == dict(enumerate(reversed(range(len(doc_ids)))))
    assert ids.find("absent\x00") is None
    assert ids.find("\ud800") is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.dictionaries(st.text("xyz"), JSON),
        ),
        max_size=8,
    )
)
def test_every_record_comes_back(rows: list[tuple[str, str, dict[str, object]]]) -> None:
    records = [Record(*row) for row in rows]
    _, documents = open_stored([f"d{i}" for i in range(len(rows))], records)
    assert [documents.records([i])[0] for i in range(len(rows))] == records
    order = list(reversed(range(len(rows))))
    assert documents.records(order) == [records[i] for i in order]


def test_documents_are_spread_over_blocks() -> None:
    records = [Record(f"title {i}", "x" * (i * 37 % 5000), {"n": i}) for i in range(300)]
    records[7] = Record("", "y" * (3 * BLOCK_BYTES), {})
    _, documents = open_stored([f"d{i}" for i in range(300)], records)
    assert len(documents._sizes) > 20
    assert documents.records([299, 7, 0, 7]) == [records[i] for i in (299, 7, 0, 7)]
    assert len(list(documents.all_parts())) == 300


@pytest.mark.parametrize(
    "doc_id", ["", "x" * 513, "é" * 257, "tab\there", "nul\0", "\x7f", "\x85", "\ud800", 5, None]
)
def test_bad_ids_are_refused(doc_id: str) -> None:
    with pytest.raises(DataError, match="document id"):
        encode_id(doc_id)


@pytest.mark.parametrize("doc_id", ["x", "x" * 512, "é" * 256, " ", "../etc", "日本語"])
def test_good_ids_are_taken(doc_id: str) -> None:
    assert encode_id(doc_id).decode() == doc_id


def test_an_id_given_twice_is_named() -> None:
    with pytest.raises(DataError, match=r"'twice' appears twice \(documents 1 and 3\)"):
        stored(["a", "twice", "b", "twice"], [Record("", "", {})] * 4)


def test_equal_hashes_are_settled_by_the_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash of one value everything collides, and nothing is confused."""

    class Colliding:
        def __init__(self, data: bytes, digest_size: int) -> None:
            self.digest_size = digest_size

        def digest(self) -> bytes:
            return bytes(self.digest_size)

    monkeypatch.setattr("lsr_index.segment.doc_ids.hashlib.blake2b", Colliding)
    ids, _ = open_stored(["a", "b", "c"])
    assert [ids.find(doc_id) for doc_id in "abcd"] == [0, 1, 2, None]
    with pytest.raises(DataError, match="'b' appears twice"):
        stored(["b", "a", "b"], [Record("", "", {})] * 3)


@pytest.mark.parametrize(
    "record",
    [
        Record("\ud800", "", {}),
        Record("", "\udfff", {}),
        Record("", "", {"x": float("nan")}),
        Record("", "", {"x": {1, 2}}),
        Record("", "x" * (33 << 20), {}),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(record: Record) -> None:
    with pytest.raises(DataError, match="document 'mine'"):
        encode_record("mine", record.title, record.text, record.metadata)


def test_a_read_checks_its_block_even_when_nothing_else_was_checked() -> None:
    disk, entry = stored(["a", "b"], [Record("t", "some text", {}), Record("", "", {})])
    path = Path("/") / entry.name
    content = bytearray(disk.contents()[str(path)])
    container = Container(disk, Path("/"), entry)
    content[container.entries["documents/data"].offset + 5] ^= 4
    disk.put(path, bytes(content))
    documents = DocumentReader(Container(disk, Path("/"), entry), 2)
    with pytest.raises(
        CorruptIndexError, match=rf"{entry.name} at byte \d+: documents/data: block 0 "
    ):
        documents.records([0])


def test_no_documents_at_all() -> None:
    ids, documents = open_stored([])
    assert ids.find("a") is None
    assert list(documents.all_parts()) == []
    assert np.array_equal(documents._first_docs, [0])
