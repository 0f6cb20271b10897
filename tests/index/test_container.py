"""Containers: what is written comes back, and nothing else is accepted."""

import dataclasses
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, FormatVersionError
from lsr_index.storage.container import MAGIC, Container, ContainerWriter, FileEntry
from lsr_index.storage.directory import DISK, OutputFile
from tests.index.faults.disk import SimulatedDisk

ARRAYS = {
    "empty": np.zeros(0, np.int32),
    "bytes": np.arange(100, dtype=np.uint8),
    "wide": np.arange(6, dtype=np.uint64).reshape(2, 3),
    "floats": np.linspace(0, 1, 33, dtype=np.float32),
}


def write(folder: Path, params: dict[str, object] | None = None) -> FileEntry:
    with OutputFile(DISK, folder / "tmp") as out:
        writer = ContainerWriter(out, "segment")
        for name, array in ARRAYS.items():
            writer.add(name, array)
        uuid = writer.finish(params or {"answer": 42})
    entry = FileEntry("segment", uuid.hex(), out.position, out.digest().hex())
    (folder / "tmp").rename(folder / entry.name)
    return entry


def replace(folder: Path, entry: FileEntry, data: bytes) -> Container:
    (folder / entry.name).write_bytes(data)
    return Container(DISK, folder, dataclasses.replace(entry, length=len(data)))


def test_arrays_and_params_come_back(tmp_path: Path) -> None:
    container = Container(DISK, tmp_path, write(tmp_path))
    assert container.params == {"answer": 42}
    assert list(container.entries) == list(ARRAYS)
    for name, array in ARRAYS.items():
        found = container.array(name)
        np.testing.assert_array_equal(found, array, strict=True)
        assert not found.flags.writeable
    container.check()


def test_a_streamed_array_equals_a_whole_one(tmp_path: Path) -> None:
    whole = np.arange(1000, dtype=np.int64)

    def content(chunks: list[NDArray[np.int64]]) -> bytes:
        with OutputFile(DISK, tmp_path / f"{len(chunks)}") as out:
            writer = ContainerWriter(out, "segment")
            writer.begin("a", np.int64)
            for chunk in chunks:
                writer.append(chunk)
            writer.end()
            writer.finish({})
        return (tmp_path / f"{len(chunks)}").read_bytes()

    assert content([whole]) == content(np.array_split(whole, 7))


def test_equal_content_has_equal_bytes_and_identity(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert write(tmp_path) == write(tmp_path / "other")
    assert write(tmp_path) != write(tmp_path, {"answer": 43})


def test_arrays_are_aligned(tmp_path: Path) -> None:
    container = Container(DISK, tmp_path, write(tmp_path))
    assert all(entry.offset % 64 == 0 for entry in container.entries.values())


@pytest.mark.parametrize("length", [0, 1, 63, 64, 127, 128])
def test_short_files_are_refused(tmp_path: Path, length: int) -> None:
    entry = write(tmp_path)
    data = (tmp_path / entry.name).read_bytes()
    with pytest.raises(CorruptIndexError):
        replace(tmp_path, entry, data[:length])


def test_every_truncation_is_refused_with_file_and_offset(tmp_path: Path) -> None:
    entry = write(tmp_path)
    path = tmp_path / entry.name
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(CorruptIndexError, match=f"{entry.name} at byte {length}"):
            Container(DISK, tmp_path, entry)
        with pytest.raises(CorruptIndexError):
            replace(tmp_path, entry, data[:length])


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    entry = write(tmp_path)
    data = (tmp_path / entry.name).read_bytes()
    disk = SimulatedDisk()
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        disk.put(Path("/") / entry.name, bytes(damaged))
        with pytest.raises((CorruptIndexError, FormatVersionError)):
            Container(disk, Path("/"), entry).check()


@pytest.mark.parametrize(("version", "word"), [(0, "older"), (2, "newer"), (2**32 - 1, "newer")])
def test_other_versions_are_named(tmp_path: Path, version: int, word: str) -> None:
    entry = write(tmp_path)
    data = bytearray((tmp_path / entry.name).read_bytes())
    data[8:12] = struct.pack("<I", version)
    with pytest.raises(FormatVersionError, match=f"{entry.name}: format {version} is {word}"):
        replace(tmp_path, entry, bytes(data))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    entry = write(tmp_path)
    (tmp_path / entry.name).unlink()
    with pytest.raises(CorruptIndexError, match=rf"{entry.name}.*missing"):
        Container(DISK, tmp_path, entry)


def test_another_file_under_the_name_is_found(tmp_path: Path) -> None:
    entry = write(tmp_path)
    other = write(tmp_path, {"answer": 43})
    with pytest.raises(CorruptIndexError, match="another file than the manifest names"):
        replace(tmp_path, entry, (tmp_path / other.name).read_bytes())


def test_another_kind_is_refused(tmp_path: Path) -> None:
    entry = write(tmp_path)
    (tmp_path / entry.name).rename(tmp_path / dataclasses.replace(entry, kind="deletes").name)
    with pytest.raises(CorruptIndexError, match="kind 'deletes'"):
        Container(DISK, tmp_path, dataclasses.replace(entry, kind="deletes"))


def rechecksummed(data: bytes, change: dict[str, object], index: int = 1) -> bytes:
    """Change one array's entry in the directory and make every checksum right again."""
    offset, nbytes = struct.unpack("<QQ", data[-64:-48])
    body = json.loads(data[offset : offset + nbytes])
    body["arrays"][index].update(change)
    directory = json.dumps(body).encode()
    footer = struct.pack(
        "<QQIIQ16s8x8s",
        offset,
        len(directory),
        zlib.crc32(directory),
        0,
        offset + len(directory) + 64,
        data[-32:-16],
        MAGIC,
    )
    return data[:offset] + directory + footer


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 0},
        {"offset": 128},
        {"offset": 2**62},
        {"offset": -64},
        {"offset": 64.0},
        {"nbytes": 99},
        {"shape": [101]},
        {"shape": [2**62, 4]},
        {"shape": [-100]},
        {"shape": [True]},
        {"shape": "100"},
        {"shape": [1, 1, 1, 100]},
        {"dtype": "|O"},
        {"dtype": ">u4"},
        {"dtype": ["|u1"]},
        {"name": "wide"},
        {"name": 5},
        {"crc32": None},
        {"extra": 1},
    ],
)
def test_a_hostile_directory_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    entry = write(tmp_path)
    data = (tmp_path / entry.name).read_bytes()
    with pytest.raises(CorruptIndexError):
        replace(tmp_path, entry, rechecksummed(data, change))


def test_opening_reads_no_arrays(tmp_path: Path) -> None:
    """A damaged array is met when it is checked, not before."""
    entry = write(tmp_path)
    data = bytearray((tmp_path / entry.name).read_bytes())
    data[64] ^= 1
    container = replace(tmp_path, entry, bytes(data))
    with pytest.raises(CorruptIndexError, match=r"at byte 64: array 'bytes'"):
        container.check()


def test_misuse_by_the_writer_is_refused(tmp_path: Path) -> None:
    with OutputFile(DISK, tmp_path / "a") as out:
        writer = ContainerWriter(out, "segment")
        with pytest.raises(TypeError, match="dtypes of the format"):
            writer.add("a", np.zeros(1, np.complex64))
        writer.begin("a", np.int64)
        writer.append(np.zeros(3))
        with pytest.raises(ValueError, match="do not make the shape"):
            writer.end((4,))
        writer.begin("b", np.uint8)
        with pytest.raises(ValueError, match="not ended"):
            writer.begin("c", np.uint8)
