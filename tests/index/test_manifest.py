"""Manifests: they come back equal, and every damage is found."""

from dataclasses import replace
from pathlib import Path

import pytest

from lsr.encoders.base import Fingerprint
from lsr.errors import CorruptIndexError, FormatVersionError, IndexNotFoundError
from lsr_index.storage.container import FileEntry
from lsr_index.storage.directory import DISK
from lsr_index.storage.manifest import Manifest, SegmentEntry, generations, read_manifest
from tests.index.faults.disk import SimulatedDisk


def file(kind: str, digit: str) -> FileEntry:
    return FileEntry(kind, digit * 32, 1000, digit * 64)


MANIFEST = Manifest(
    generation=7,
    n_terms=30522,
    scale=3.1 / 255,
    segments=(
        SegmentEntry(file("segment", "a"), 10, file("deletes", "b"), 3),
        SegmentEntry(file("segment", "c"), 5),
    ),
    encoder=file("encoder", "d"),
    fingerprint=Fingerprint({"kind": "bm25", "k1": 0.9}, {"idf": "é"}),
    settings={"reorder": True},
    parent=6,
)


def put(folder: Path, manifest: Manifest) -> Path:
    path = folder / manifest.name
    path.write_bytes(manifest.to_bytes())
    return path


@pytest.mark.parametrize("manifest", [MANIFEST, Manifest(generation=1, n_terms=0, scale=1.0)])
def test_it_comes_back_equal(tmp_path: Path, manifest: Manifest) -> None:
    put(tmp_path, manifest)
    assert read_manifest(DISK, tmp_path, manifest.generation) == manifest


def test_counts_and_files() -> None:
    assert MANIFEST.n_docs == 12
    assert MANIFEST.files() == {
        "MANIFEST-0000000000000007",
        f"segment-{'a' * 32}.lsr",
        f"deletes-{'b' * 32}.lsr",
        f"segment-{'c' * 32}.lsr",
        f"encoder-{'d' * 32}.lsr",
    }


def test_every_flipped_bit_is_found() -> None:
    data = MANIFEST.to_bytes()
    disk = SimulatedDisk()
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        disk.put(Path("/") / MANIFEST.name, bytes(damaged))
        with pytest.raises((CorruptIndexError, FormatVersionError)):
            read_manifest(disk, Path("/"), 7)


def test_every_truncation_is_found(tmp_path: Path) -> None:
    path = put(tmp_path, MANIFEST)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(CorruptIndexError):
            read_manifest(DISK, tmp_path, 7)
    path.write_bytes(data + b"x")
    with pytest.raises(CorruptIndexError):
        read_manifest(DISK, tmp_path, 7)


def test_a_renamed_manifest_is_found(tmp_path: Path) -> None:
    put(tmp_path, MANIFEST).rename(tmp_path / "MANIFEST-0000000000000008")
    with pytest.raises(CorruptIndexError, match="generation 7"):
        read_manifest(DISK, tmp_path, 8)


@pytest.mark.parametrize(("version", "word"), [(0, "older"), (3, "newer")])
def test_other_versions_are_named(tmp_path: Path, version: int, word: str) -> None:
    path = put(tmp_path, MANIFEST)
    path.write_bytes(path.read_bytes().replace(b"lsr-manifest 1", b"lsr-manifest %d" % version))
    with pytest.raises(FormatVersionError, match=word):
        read_manifest(DISK, tmp_path, 7)


@pytest.mark.parametrize(
    "hostile",
    [
        replace(MANIFEST, scale=-1.0),
        replace(MANIFEST, scale=1),
        replace(MANIFEST, n_terms=-1),
        replace(MANIFEST, n_terms=2**33),
        replace(MANIFEST, segments=(SegmentEntry(file("segment", "a"), -1),)),
        replace(MANIFEST, segments=(SegmentEntry(file("segment", "a"), 5, None, 1),)),
        replace(MANIFEST, segments=(SegmentEntry(file("deletes", "a"), 5),)),
        replace(MANIFEST, segments=(SegmentEntry(file("segment", "a"), 5),) * 2),
        replace(MANIFEST, segments=(SegmentEntry(FileEntry("segment", "../x", 1, "a"), 5),)),
        replace(MANIFEST, encoder=FileEntry("encoder", "A" * 32, 1, "a" * 64)),
        replace(
            MANIFEST,
            segments=(
                SegmentEntry(file("segment", "a"), 2**31 - 1),
                SegmentEntry(file("segment", "b"), 1),
            ),
        ),
    ],
)
def test_hostile_values_are_refused(tmp_path: Path, hostile: Manifest) -> None:
    put(tmp_path, hostile)
    with pytest.raises(CorruptIndexError, match="malformed"):
        read_manifest(DISK, tmp_path, 7)


class TestGenerations:
    def test_in_order(self, tmp_path: Path) -> None:
        for generation in (10, 9, 2):
            put(tmp_path, replace(MANIFEST, generation=generation))
        (tmp_path / "MANIFEST-11").touch()
        assert generations(DISK, tmp_path) == [2, 9, 10]

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(IndexNotFoundError, match="no index is here"):
            generations(DISK, tmp_path / "absent")

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(IndexNotFoundError, match="this is a file"):
            generations(DISK, tmp_path / "file")

    def test_another_folder(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with pytest.raises(IndexNotFoundError, match="this folder is no index"):
            generations(DISK, tmp_path)

    def test_all_manifests_gone(self, tmp_path: Path) -> None:
        (tmp_path / "write.lock").touch()
        with pytest.raises(CorruptIndexError, match="missing"):
            generations(DISK, tmp_path)
