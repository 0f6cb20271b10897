"""Snapshots and restores."""

from pathlib import Path

import pytest

from lsr.encoders.base import EncoderAssets
from lsr.errors import CorruptIndexError, IndexExistsError, IndexNotFoundError, StorageFullError
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.update.snapshot import restore, snapshot
from lsr_index.update.verify import verify
from tests.index.collections import N_TERMS, batch_of, numbered, random_rows
from tests.index.faults.disk import SimulatedDisk
from tests.index.test_writer import rows_in

LIVE, COPY = Path("/live.index"), Path("/copy.index")


@pytest.fixture
def disk() -> SimulatedDisk:
    made = SimulatedDisk()
    rows = random_rows(1, numbered(20))
    build_index(
        LIVE, [batch_of(rows)], files=made, n_terms=N_TERMS, encoder=EncoderAssets({"kind": "x"})
    )
    with IndexWriter(LIVE, files=made) as writer:
        writer.add(batch_of(random_rows(2, ["d1", "new"], top=2.0)))
        writer.delete(["d3"])
        writer.commit()
    return made


def change(disk: SimulatedDisk, doc_id: str) -> None:
    with IndexWriter(LIVE, files=disk) as writer:
        writer.add(batch_of({doc_id: {1: 1.0}}))
        writer.delete(["d5"])
        writer.commit()


def test_a_snapshot_is_the_index_it_was_made_of(disk: SimulatedDisk) -> None:
    assert snapshot(LIVE, COPY, files=disk) == 2
    before = open_index(COPY, files=disk)
    for i in range(4):
        change(disk, f"later{i}")
    after = open_index(COPY, files=disk)
    assert rows_in(before) == rows_in(after)
    assert after.encoder_assets == EncoderAssets({"kind": "x"})
    assert verify(COPY, 3, files=disk).ok
    assert snapshot(LIVE, Path("/old.index"), generation=5, files=disk) == 5


def test_a_snapshot_of_what_a_writer_has_already_removed(disk: SimulatedDisk) -> None:
    """A reader that was opened before can still be copied: it holds its files."""
    original = disk.before

    def change_once(operation: str, path: Path) -> None:
        if path.parent.name == ".copy.index.new" and operation == "write":
            disk.before = original
            for i in range(4):
                change(disk, f"later{i}")

    disk.before = change_once
    assert snapshot(LIVE, COPY, files=disk) == 2
    assert verify(COPY, 2, files=disk).ok


def test_restoring_where_nothing_is(disk: SimulatedDisk) -> None:
    snapshot(LIVE, COPY, files=disk)
    assert restore(COPY, Path("/third.index"), files=disk) == 2
    with pytest.raises(IndexExistsError):
        restore(COPY, LIVE, files=disk)


def test_restoring_over_a_live_index(disk: SimulatedDisk) -> None:
    snapshot(LIVE, COPY, files=disk)
    wanted = rows_in(open_index(COPY, files=disk))
    change(disk, "later")
    reading = open_index(LIVE, files=disk)
    assert restore(COPY, LIVE, replace_existing=True, files=disk) == 4
    assert rows_in(open_index(LIVE, files=disk)) == wanted
    assert reading.document("later") is not None
    assert verify(LIVE, 3, files=disk).ok
    change(disk, "again")
    assert open_index(LIVE, files=disk).document("again") is not None


def test_damage_is_found_and_nothing_is_left(disk: SimulatedDisk) -> None:
    name = next(n for n in disk.names(LIVE) if n.startswith("segment"))
    content = bytearray(disk.contents()[f"/live.index/{name}"])
    content[70] ^= 1
    disk.put(LIVE / name, bytes(content))
    with pytest.raises(CorruptIndexError, match=f"{name}: .*SHA-256"):
        snapshot(LIVE, COPY, files=disk)
    assert disk.names(Path("/")) == ["live.index"]


def test_a_full_disk_leaves_nothing(disk: SimulatedDisk) -> None:
    for extra in range(0, disk.used_bytes(), 500):
        disk.capacity = disk.used_bytes() + extra
        try:
            snapshot(LIVE, COPY, files=disk)
            break
        except StorageFullError:
            assert disk.names(Path("/")) == ["live.index"]
    disk.capacity = None
    assert verify(COPY, 2, files=disk).ok


def test_nothing_to_copy(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError):
        snapshot(tmp_path / "absent", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []
