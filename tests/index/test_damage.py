"""Damaged files: every one is a typed error or changes nothing; never a wrong answer.

The counts grow with the environment variable LSR_FAULT_SCALE.
"""

import random
from pathlib import Path

import numpy as np
import pytest

from lsr.encoders.base import EncoderAssets
from lsr.errors import CorruptIndexError, IndexFormatError
from lsr.records import Document
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.update.verify import verify
from tests.index.collections import N_TERMS, batch_of, numbered, query_of, random_rows
from tests.index.dense.collections import DIMENSION, clustered
from tests.index.faults.disk import SimulatedDisk
from tests.index.faults.scale import SCALE, time_limit

pytestmark = time_limit

PATH = Path("/x.index")
QUERY = {1: 1.0, 5: 0.5, 7: 2.0}


def make(dense: bool = False) -> SimulatedDisk:
    disk = SimulatedDisk()
    rows = random_rows(1, numbered(30))
    documents = {d: Document(d, f"text {d}", d.upper(), {"n": i}) for i, d in enumerate(rows)}
    vectors = clustered(np.random.default_rng(5), 32) if dense else None
    spec = DenseSpec(DIMENSION, encoder=EncoderAssets({"kind": "y"}), flat_below=20, n_lists=3)
    build_index(
        PATH, [batch_of(rows, documents)._replace(dense=vectors[:30] if dense else None)],
        files=disk, n_terms=N_TERMS, encoder=EncoderAssets({"kind": "x"}),
        dense=spec if dense else None,
    )  # fmt: skip
    with IndexWriter(PATH, files=disk) as writer:
        later = batch_of(random_rows(2, ["d1", "new"]))
        writer.add(later._replace(dense=vectors[30:] if dense else None))
        writer.delete(["d3"])
        writer.commit()
    return disk


def answers(disk: SimulatedDisk) -> list[object]:
    """Everything that can be read of an index."""
    index = open_index(PATH, verify="checksums", files=disk)
    hits = index.search(query_of(QUERY), 10)
    dense: list[object] = []
    if index.dense is not None:
        near = index.dense.search(np.ones(DIMENSION), 10, probes=1)
        every = index.dense.vectors(index.select({})).tolist()
        dense = [near.ids, near.scores.tolist(), every, index.dense.encoder_assets]
    return [
        dense,
        hits.ids,
        hits.scores.tolist(),
        index.documents(hits.ordinals),
        index.select({"n": {"$lt": 7}}).tolist(),
        index.document("d3"),
        index.encoder_assets,
        index.generation,
    ]


@pytest.fixture(scope="module", params=[False, True], ids=["sparse", "dense"])
def disk(request: pytest.FixtureRequest) -> SimulatedDisk:
    if request.param:
        pytest.importorskip("faiss")
    return make(request.param)


def needed_files(disk: SimulatedDisk) -> list[str]:
    return sorted(open_index(PATH, files=disk).manifest.files())


def test_flipped_bits(disk: SimulatedDisk) -> None:
    """Every bit of the manifest, and random bits of every file."""
    wanted = answers(disk)
    rng = random.Random(30)
    contents = {name: disk.contents()[f"{PATH}/{name}"] for name in disk.names(PATH)}
    bits = [
        (name, bit)
        for name in contents
        if name == "MANIFEST-0000000000000002"
        for bit in range(len(contents[name]) * 8)
    ]
    names = [name for name in contents if contents[name]]
    n_bits = 20_000 if open_index(PATH, files=disk).dense is None else len(bits) + 1_500
    while len(bits) < n_bits * SCALE:
        name = rng.choice(names)
        bits.append((name, rng.randrange(len(contents[name]) * 8)))
    needed = set(needed_files(disk))
    for name, bit in bits:
        damaged = bytearray(contents[name])
        damaged[bit // 8] ^= 1 << bit % 8
        disk.put(PATH / name, bytes(damaged))
        if name in needed:
            with pytest.raises(IndexFormatError, match=name):
                answers(disk)
        else:
            assert answers(disk) == wanted
        disk.put(PATH / name, contents[name])
    assert answers(disk) == wanted


def test_truncations(disk: SimulatedDisk) -> None:
    """Every length of every file: it takes no checksum to find that out."""
    for name in needed_files(disk):
        content = disk.contents()[f"{PATH}/{name}"]
        step = max(1, int(len(content) / (2000 * SCALE)))
        for length in range(0, len(content), step):
            disk.put(PATH / name, content[:length])
            with pytest.raises(CorruptIndexError, match=name):
                open_index(PATH, files=disk)
        disk.put(PATH / name, content + b"\0")
        with pytest.raises(CorruptIndexError, match=name):
            open_index(PATH, files=disk)
        disk.put(PATH / name, content)


def test_zeroed_sectors(disk: SimulatedDisk) -> None:
    for name in needed_files(disk):
        content = disk.contents()[f"{PATH}/{name}"]
        for start in range(0, len(content), 512):
            sector = content[start : start + 512]
            if not any(sector):
                continue
            disk.put(PATH / name, content[:start] + bytes(len(sector)) + content[start + 512 :])
            with pytest.raises(IndexFormatError, match=name):
                answers(disk)
        disk.put(PATH / name, content)


def test_files_of_the_same_kind_in_each_others_place(disk: SimulatedDisk) -> None:
    names = [name for name in needed_files(disk) if name.startswith("segment")]
    contents = [disk.contents()[f"{PATH}/{name}"] for name in names]
    assert len(names) == 2
    for name, content in zip(names, reversed(contents), strict=True):
        disk.put(PATH / name, content)
    with pytest.raises(CorruptIndexError):
        open_index(PATH, files=disk)
    for name, content in zip(names, contents, strict=True):
        disk.put(PATH / name, content)


def test_an_older_manifest_under_the_newest_name(disk: SimulatedDisk) -> None:
    newest = "MANIFEST-0000000000000002"
    contents = disk.contents()
    disk.put(PATH / newest, contents[f"{PATH}/MANIFEST-0000000000000001"])
    with pytest.raises(CorruptIndexError, match="says generation 1"):
        open_index(PATH, files=disk)
    disk.put(PATH / newest, contents[f"{PATH}/{newest}"])


class TestADamagedNewestGeneration:
    """It is never passed over in silence: that would undo what was acknowledged."""

    def test_opening_names_it_and_the_older_one_opens_when_asked_for(self) -> None:
        disk = make()
        name = "MANIFEST-0000000000000002"
        content = disk.contents()[f"{PATH}/{name}"]
        disk.put(PATH / name, content[:-1])
        before = disk.contents()
        with pytest.raises(CorruptIndexError, match=name):
            open_index(PATH, files=disk)
        with pytest.raises(CorruptIndexError, match=name):
            IndexWriter(PATH, files=disk)
        assert disk.contents() == before, "nothing was removed or repaired"
        assert open_index(PATH, generation=1, files=disk).n_docs == 30


class TestVerify:
    def test_in_order(self, disk: SimulatedDisk) -> None:
        before = disk.contents()
        for level in range(4):
            report = verify(PATH, level, files=disk)
            assert (report.exit_code, report.problems, report.generation) == (0, [], 2)
            assert report.ok
        n_steps = 5 + (open_index(PATH, files=disk).dense is not None)
        assert len(verify(PATH, 3, files=disk).checked) == n_steps
        assert disk.contents() == before

    def test_every_damaged_file_is_named(self) -> None:
        disk = make()
        names = [name for name in needed_files(disk) if name.startswith("segment")]
        for name in names:
            content = bytearray(disk.contents()[f"{PATH}/{name}"])
            content[64] ^= 1
            disk.put(PATH / name, bytes(content))
        assert verify(PATH, 0, files=disk).exit_code == 0
        report = verify(PATH, 1, files=disk)
        assert report.exit_code == 1
        assert [name for name in names if any(name in p for p in report.problems)] == names

    def test_what_cannot_be_read(self, tmp_path: Path, disk: SimulatedDisk) -> None:
        report = verify(tmp_path / "absent", 3)
        assert (report.exit_code, report.problems) == (2, [])
        assert report.unreadable is not None
        name = "MANIFEST-0000000000000002"
        content = disk.contents()[f"{PATH}/{name}"]
        disk.put(PATH / name, b"lsr-manifest 7" + content[14:])
        report = verify(PATH, 3, files=disk)
        assert report.exit_code == 2
        assert "newer" in (report.unreadable or "")
        disk.put(PATH / name, content)
