"""Adding, replacing, deleting and merging, against a dict."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lsr.encoders.base import EncoderAssets
from lsr.errors import (
    CommitOutcomeError,
    CorruptIndexError,
    DataError,
    IndexLockedError,
    IndexNotFoundError,
    IndexStateError,
    StorageFullError,
)
from lsr.sparse import SparseBatch
from lsr_index import Index, IndexWriter, build_index, open_index
from lsr_index.storage.directory import DISK
from lsr_index.update.merge_policy import MergePolicy
from lsr_index.update.verify import verify
from tests.index.collections import N_TERMS, batch_of, numbered, query_of, random_rows
from tests.index.faults.disk import SimulatedDisk

PATH = Path("/x.index")
Rows = dict[str, dict[int, float]]


@pytest.fixture
def disk() -> Iterator[SimulatedDisk]:
    made = SimulatedDisk()
    build_index(
        PATH, [batch_of(random_rows(1, numbered(20)))], files=made, n_terms=N_TERMS, max_weight=3.0
    )
    yield made
    made.before = None
    report = verify(PATH, 3, files=made)
    assert report.ok, report.problems


def rows_in(index: Index) -> Rows:
    """Every live document and its vector, in order, rounded to whole impacts."""
    found: Rows = {}
    base = 0
    for segment in index.segments:
        for position in np.flatnonzero(segment.live_mask()):
            terms, impacts = index.vector(base + int(position))
            doc_id = segment.doc_ids.doc_id(int(position))
            assert doc_id not in found
            found[doc_id] = dict(zip(terms.tolist(), impacts.tolist(), strict=True))
        base += segment.n_docs
    return found


def as_impacts(rows: Rows, scale: float = 3.0 / 255) -> Rows:
    return {d: {t: round(w / scale) for t, w in sorted(row.items())} for d, row in rows.items()}


def assert_holds(disk: SimulatedDisk, rows: Rows) -> None:
    index = open_index(PATH, files=disk)
    assert index.n_docs == len(rows)
    found = rows_in(index)
    assert found == as_impacts(rows)
    assert list(found) == list(rows), "the order is that of the last writing"
    for doc_id in rows:
        document = index.document(doc_id)
        assert document is not None
        assert document.text == f"text of {doc_id}"


class TestChanges:
    def test_added_documents_are_seen_after_the_commit(self, disk: SimulatedDisk) -> None:
        more = random_rows(2, numbered(7, "e"))
        with IndexWriter(PATH, files=disk) as writer:
            writer.add(batch_of(more))
            assert writer.n_pending == 7
            assert open_index(PATH, files=disk).n_docs == 20
            done = writer.commit()
        assert done == (2, 27, 7, 0, False, 0, 0)
        assert_holds(disk, random_rows(1, numbered(20)) | more)

    def test_an_id_that_is_there_is_replaced(self, disk: SimulatedDisk) -> None:
        rows = random_rows(1, numbered(20))
        new = random_rows(3, ["d5", "new", "d3"])
        with IndexWriter(PATH, files=disk) as writer:
            writer.add(batch_of(new))
            assert writer.commit() == (2, 21, 3, 2, False, 0, 0)
        assert_holds(disk, {d: r for d, r in rows.items() if d not in new} | new)

    def test_deleted_documents_are_gone(self, disk: SimulatedDisk) -> None:
        rows = random_rows(1, numbered(20))
        with IndexWriter(PATH, files=disk) as writer:
            assert writer.delete(["d1", "d7", "d7", "absent", "\ud800"]) == 2
            assert writer.delete(["d1"]) == 0
            assert writer.commit() == (2, 18, 0, 2, False, 0, 0)
        kept = {d: r for d, r in rows.items() if d not in ("d1", "d7")}
        assert_holds(disk, kept)
        index = open_index(PATH, files=disk)
        assert index.document("d1") is None
        everything = SparseBatch.from_rows([dict.fromkeys(range(N_TERMS), 1.0)])
        assert {"d1", "d7"}.isdisjoint(index.search(everything, 50).ids)

    def test_add_and_delete_in_one_commit_are_applied_in_order(self, disk: SimulatedDisk) -> None:
        rows = random_rows(1, numbered(20))
        new = random_rows(4, ["a", "b", "d0"])
        with IndexWriter(PATH, files=disk) as writer:
            writer.add(batch_of(new))
            assert writer.delete(["a", "d0", "d1"]) == 3
            writer.add(batch_of({"d1": new["a"]}))
            writer.commit()
        wanted = {d: r for d, r in rows.items() if d not in ("d0", "d1")}
        assert_holds(disk, wanted | {"b": new["b"], "d1": new["a"]})

    def test_added_then_deleted_is_as_never_added(self, disk: SimulatedDisk) -> None:
        before = rows_in(open_index(PATH, files=disk))
        with IndexWriter(PATH, files=disk) as writer:
            writer.add(batch_of(random_rows(2, numbered(5, "e"))))
            writer.commit()
            writer.delete(numbered(5, "e"))
            writer.commit()
        index = open_index(PATH, files=disk)
        assert rows_in(index) == before
        assert len(index.segments) == 1

    def test_everything_deleted(self, disk: SimulatedDisk) -> None:
        with IndexWriter(PATH, files=disk) as writer:
            writer.delete(numbered(20))
            writer.commit()
            assert open_index(PATH, files=disk).n_docs == 0
            writer.add(batch_of({"d0": {1: 1.0}}))
            writer.commit()
        assert open_index(PATH, files=disk).search(query_of({1: 1.0})).ids == ["d0"]

    def test_the_same_document_again_and_again(self, disk: SimulatedDisk) -> None:
        """Equal content in two generations must not share a file: their deletes differ."""
        with IndexWriter(PATH, files=disk) as writer:
            for _ in range(4):
                writer.add(batch_of({"same": {1: 3.0}}))
                writer.commit()
                assert open_index(PATH, files=disk).find("same") is not None
        assert open_index(PATH, files=disk).n_docs == 21

    def test_nothing_to_commit_changes_nothing(self, disk: SimulatedDisk) -> None:
        before = disk.contents()
        with IndexWriter(PATH, files=disk) as writer:
            assert writer.commit() == (1, 20, 0, 0, False, 0, 0)
        assert disk.contents() == before

    def test_what_is_not_committed_is_forgotten(self, disk: SimulatedDisk) -> None:
        with IndexWriter(PATH, files=disk) as writer:
            writer.add(batch_of({"a": {1: 1.0}}))
            writer.delete(["d1"])
            writer.rollback()
            writer.add(batch_of({"b": {1: 1.0}}))
            writer.commit()
            writer.add(batch_of({"c": {1: 1.0}}))
        index = open_index(PATH, files=disk)
        assert [index.document(d) is not None for d in ("a", "b", "c", "d1")] == [
            False,
            True,
            False,
            True,
        ]

    def test_a_new_encoder(self, disk: SimulatedDisk) -> None:
        for number in (1, 1, 2):
            with IndexWriter(PATH, files=disk) as writer:
                writer.commit(encoder=EncoderAssets({"number": number}))
            assets = open_index(PATH, files=disk).encoder_assets
            assert assets is not None
            assert assets.config == {"number": number}
        assert open_index(PATH, files=disk).generation == 4

    def test_a_vocabulary_that_grows(self, disk: SimulatedDisk) -> None:
        with IndexWriter(PATH, files=disk) as writer:
            with pytest.raises(DataError, match="has term id 45"):
                writer.add(batch_of({"a": {45: 1.0}}))
            writer.add(batch_of({"a": {45: 1.0}}), n_terms=50)
            writer.commit()
            writer.compact()
        index = open_index(PATH, files=disk)
        assert index.n_terms == 50
        assert index.search(query_of({45: 1.0})).ids == ["a"]


class TestScale:
    """One scale for all segments; a larger weight quantises everything anew."""

    @pytest.mark.parametrize("factor", [1.0, 1.001, 1.01, 5.0])
    def test_larger_weights(self, disk: SimulatedDisk, factor: float) -> None:
        rows = random_rows(1, numbered(20))
        new = {"big": {1: 3.0 * factor, 2: 3.0}}
        with IndexWriter(PATH, files=disk) as writer:
            writer.delete(["d3"])
            writer.add(batch_of(new))
            done = writer.commit()
        index = open_index(PATH, files=disk)
        scale = index.manifest.scale
        assert done.rescaled == (factor > 1.002)
        assert len(index.segments) == (1 if done.rescaled else 2)
        wanted = {d: r for d, r in rows.items() if d != "d3"} | new
        # Half a step of the first scale is in the weights already, half a step of the new is added.
        allowed = scale / 2 + (0 if done.rescaled else 3.0 / 255 / 2) + 1e-9
        found = rows_in(index)
        assert list(found) == list(wanted)
        for doc_id, row in wanted.items():
            for term, weight in row.items():
                assert abs(found[doc_id].get(term, 0) * scale - weight) <= allowed

    def test_the_next_large_weights_fit(self, disk: SimulatedDisk) -> None:
        with IndexWriter(PATH, files=disk) as writer:
            writer.add(batch_of({"a": {1: 6.0}}))
            assert writer.commit().rescaled
            writer.add(batch_of({"b": {1: 7.0}}))
            assert not writer.commit().rescaled

    def test_an_empty_index_takes_any_weight(self) -> None:
        disk = SimulatedDisk()
        build_index(PATH, [], files=disk, n_terms=5)
        with IndexWriter(PATH, files=disk) as writer:
            writer.add(batch_of({"a": {1: 500.0}}))
            writer.commit()
        assert open_index(PATH, files=disk).search(query_of({1: 1.0})).scores[0] == pytest.approx(
            500, rel=0.01
        )


class TestMerging:
    def test_merging_changes_nothing_that_a_search_sees(self, disk: SimulatedDisk) -> None:
        rng = random.Random(5)
        rows = random_rows(1, numbered(20))
        policy = MergePolicy(factor=3, floor_docs=4)
        with IndexWriter(PATH, files=disk, policy=policy) as writer:
            for number in range(12):
                new = random_rows(100 + number, [f"d{rng.randrange(60)}" for _ in range(4)])
                gone = [f"d{rng.randrange(60)}" for _ in range(2)]
                writer.add(batch_of(new))
                writer.delete(gone)
                writer.commit()
                rows = {d: r for d, r in (rows | new).items() if d not in new} | new
                rows = {d: r for d, r in rows.items() if d not in gone}
                assert_holds(disk, rows)
                while writer.merge():
                    assert_holds(disk, rows)
        assert len(open_index(PATH, files=disk).segments) < 6

    def test_compact_leaves_one_segment_without_deletes(self, disk: SimulatedDisk) -> None:
        rows = random_rows(1, numbered(20))
        with IndexWriter(PATH, files=disk) as writer:
            for i in range(4):
                new = random_rows(10 + i, numbered(3, f"{i}-"))
                writer.add(batch_of(new))
                writer.delete([f"d{i}"])
                writer.commit()
                rows = {d: r for d, r in rows.items() if d != f"d{i}"} | new
            searched = open_index(PATH, files=disk)
            assert writer.compact()
            assert not writer.compact()
        assert_holds(disk, rows)
        index = open_index(PATH, files=disk)
        stats = index.stats()
        assert (stats.n_segments, stats.n_deleted, stats.n_docs) == (1, 0, len(rows))
        for query in random_rows(9, numbered(20, "q")).values():
            before, after = (i.search(query_of(query), 9) for i in (searched, index))
            assert before.ids == after.ids
            assert before.int_scores.tolist() == after.int_scores.tolist()

    def test_a_compacted_index_is_the_built_one(self, disk: SimulatedDisk) -> None:
        """Splitting a collection over commits and merging it again changes nothing."""
        rows = random_rows(1, numbered(20))
        other = SimulatedDisk()
        build_index(PATH, [batch_of({"x": {1: 3.0}})], files=other, n_terms=N_TERMS, max_weight=3.0)
        with IndexWriter(PATH, files=other) as writer:
            for doc_id in rows:
                writer.add(batch_of({doc_id: rows[doc_id]}))
                writer.commit()
            writer.delete(["x"])
            writer.commit()
            writer.compact()
        (a,), (b,) = (open_index(PATH, files=d).segments for d in (disk, other))
        assert a.arrays.params() == b.arrays.params()
        for name, array in a.arrays.arrays().items():
            np.testing.assert_array_equal(array, b.arrays.arrays()[name], err_msg=name)

    def test_deletes_that_arrive_during_a_merge_are_kept(self, disk: SimulatedDisk) -> None:
        rows = random_rows(1, numbered(20))
        more = random_rows(2, numbered(6, "e"))
        writer = IndexWriter(PATH, files=disk)
        writer.add(batch_of(more))
        writer.delete(["d0"])
        writer.commit()
        arrived = random_rows(3, ["d5", "f0"])

        def interfere(stage: str, done: int, total: int | None) -> None:
            if stage == "storing" and writer.generation == 2:
                writer.delete(["d2", "e1"])
                writer.add(batch_of(arrived))
                writer.commit()

        assert writer.compact(progress=interfere)
        writer.close()
        gone = ("d0", "d2", "e1", "d5")
        kept = {d: r for d, r in (rows | more).items() if d not in gone}
        assert_holds(disk, kept | arrived)
        assert len(open_index(PATH, files=disk).segments) == 2

    def test_all_inputs_deleted_during_a_merge(self, disk: SimulatedDisk) -> None:
        writer = IndexWriter(PATH, files=disk)
        writer.delete(["d0"])
        writer.commit()

        def interfere(stage: str, done: int, total: int | None) -> None:
            if stage == "storing" and writer.generation == 2:
                writer.delete(numbered(20))
                writer.commit()

        assert not writer.compact(progress=interfere)
        writer.close()
        assert open_index(PATH, files=disk).n_docs == 0

    def test_a_new_scale_during_a_merge_wins(self, disk: SimulatedDisk) -> None:
        writer = IndexWriter(PATH, files=disk)
        writer.delete(["d0"])
        writer.commit()

        def interfere(stage: str, done: int, total: int | None) -> None:
            if stage == "storing" and writer.generation == 2:
                writer.add(batch_of({"big": {1: 90.0}}))
                assert writer.commit().rescaled

        assert not writer.compact(progress=interfere)
        writer.close()
        assert open_index(PATH, files=disk).n_docs == 20

    def test_damage_is_not_copied(self, tmp_path: Path) -> None:
        build_index(tmp_path / "x.index", [batch_of(random_rows(1, numbered(20)))]).close()
        (segment,) = (tmp_path / "x.index").glob("segment-*")
        with IndexWriter(tmp_path / "x.index") as writer:
            writer.delete(["d1"])
            writer.commit()
            content = bytearray(segment.read_bytes())
            content[70] ^= 1
            segment.write_bytes(content)
            with pytest.raises(CorruptIndexError, match="checksum"):
                writer.compact()
        assert open_index(tmp_path / "x.index").generation == 2

    def test_in_the_background(self, tmp_path: Path) -> None:
        build_index(tmp_path / "x.index", [batch_of({"x": {1: 1.0}})], n_terms=N_TERMS)
        policy = MergePolicy(factor=3, floor_docs=10)
        with IndexWriter(tmp_path / "x.index", policy=policy, background=True) as writer:
            for i in range(12):
                writer.add(batch_of({f"d{i}": {i: 1.0}}))
                writer.commit()
            writer.wait_for_merges()
        index = open_index(tmp_path / "x.index")
        assert index.n_docs == 13
        assert len(index.segments) < 6
        assert verify(tmp_path / "x.index", 3).ok

    @pytest.mark.parametrize(
        ("sizes", "chosen"),
        [
            ([], None),
            ([1] * 3, range(3)),
            ([1] * 2, None),
            ([100, 1, 1, 1], range(1, 4)),
            ([1, 100, 1, 1], None),
            ([30, 30, 30, 1], range(4)),
            ([1000, 100, 10], None),
            ([5, 1000, 4, 3, 2, 1], range(2, 6)),
        ],
    )
    def test_the_policy(self, sizes: list[int], chosen: range | None) -> None:
        from lsr_index.storage.container import FileEntry
        from lsr_index.storage.manifest import SegmentEntry

        entries = [
            SegmentEntry(FileEntry("segment", str(i), 1, ""), n) for i, n in enumerate(sizes)
        ]
        assert MergePolicy(factor=3, floor_docs=10).choose(entries) == chosen

    def test_a_segment_of_mostly_deleted_documents_is_rewritten(self, disk: SimulatedDisk) -> None:
        with IndexWriter(PATH, files=disk) as writer:
            writer.delete(numbered(9))
            writer.commit()
            assert writer.merge()
            assert not writer.merge()
        assert open_index(PATH, files=disk).stats().n_deleted == 0


class TestReaders:
    def test_a_reader_keeps_its_generation_whatever_happens(self, tmp_path: Path) -> None:
        path = tmp_path / "x.index"
        rows = random_rows(1, numbered(20))
        old = build_index(path, [batch_of(rows)], n_terms=N_TERMS, max_weight=3.0)
        with IndexWriter(path) as writer:
            for i in range(5):
                writer.add(batch_of(random_rows(50 + i, [f"d{i}", f"new{i}"])))
                writer.commit()
            writer.compact()
            assert rows_in(writer.snapshot()) != rows_in(old)
        assert rows_in(old) == as_impacts(rows)
        assert old.generation == 1
        assert old.refresh().generation == 7

    def test_only_what_two_generations_need_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "x.index"
        build_index(path, [batch_of({"x": {1: 1.0}})], n_terms=N_TERMS).close()
        with IndexWriter(path) as writer:
            for i in range(6):
                writer.add(batch_of({"x": {i: 1.0}}))
                writer.commit()
        names = {p.name for p in path.iterdir()}
        needed = {"write.lock"}
        for generation in (6, 7):
            needed |= open_index(path, generation=generation).manifest.files()
        assert names == needed

    def test_opening_beside_a_busy_writer(self, tmp_path: Path) -> None:
        path = tmp_path / "x.index"
        build_index(path, [batch_of({"x": {1: 1.0}})], n_terms=N_TERMS).close()
        stop = threading.Event()
        opened: list[int] = []
        failures: list[BaseException] = []

        def read() -> None:
            try:
                while not stop.is_set():
                    with open_index(path) as index:
                        assert index.search(query_of({1: 1.0})).ids == ["x"]
                        opened.append(index.generation)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        with IndexWriter(path) as writer:
            for _ in range(40):
                writer.add(batch_of({"x": {1: 1.0}}))
                writer.commit()
        stop.set()
        thread.join()
        assert not failures
        assert opened == sorted(opened)
        assert len(set(opened)) > 1


class TestRefused:
    def test_a_second_writer(self, disk: SimulatedDisk) -> None:
        with IndexWriter(PATH, files=disk), pytest.raises(IndexLockedError):
            IndexWriter(PATH, files=disk)
        IndexWriter(PATH, files=disk).close()

    def test_no_index(self, tmp_path: Path) -> None:
        with pytest.raises(IndexNotFoundError):
            IndexWriter(tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("damage", ["twice", "id", "term", "record", "fields"])
    def test_a_bad_batch_is_refused_as_a_whole(self, disk: SimulatedDisk, damage: str) -> None:
        batch = batch_of({"a": {1: 1.0}, "b": {2: 1.0}})
        match damage:
            case "twice":
                batch = batch._replace(ids=["a", "a"])
            case "id":
                batch = batch._replace(ids=["a", ""])
            case "term":
                batch = batch_of({"a": {1: 1.0}, "b": {N_TERMS: 1.0}})
            case "record":
                batch = batch._replace(texts=["fine", "\ud800"])
            case "fields":
                batch = batch._replace(titles=[])
        with IndexWriter(PATH, files=disk) as writer:
            with pytest.raises(DataError):
                writer.add(batch)
            assert writer.n_pending == 0
            assert writer.commit().generation == 1

    def test_a_closed_writer(self, disk: SimulatedDisk) -> None:
        writer = IndexWriter(PATH, files=disk)
        writer.close()
        writer.close()
        with pytest.raises(IndexStateError, match="closed"):
            writer.add(batch_of({"a": {1: 1.0}}))


class TestFullDisk:
    def test_the_old_generation_serves_and_the_writer_resumes(self, disk: SimulatedDisk) -> None:
        rows = random_rows(1, numbered(20))
        more = random_rows(2, numbered(30, "e"))
        with IndexWriter(PATH, files=disk) as writer:
            writer.add(batch_of(more))
            writer.delete(["d1"])
            used = disk.used_bytes()
            for extra in range(0, 4000, 150):
                disk.capacity = used + extra
                try:
                    writer.commit()
                except StorageFullError:
                    assert disk.used_bytes() == used, "what was half-written is removed"
                    assert_holds(disk, rows)
                else:
                    break
            disk.capacity = None
            writer.commit()
        assert_holds(disk, {d: r for d, r in rows.items() if d != "d1"} | more)

    def test_a_merge_without_room_changes_nothing(self, disk: SimulatedDisk) -> None:
        with IndexWriter(PATH, files=disk) as writer:
            writer.delete(["d1"])
            writer.commit()
            disk.capacity = disk.used_bytes() + 100
            with pytest.raises(StorageFullError):
                writer.compact()
            disk.capacity = None
            assert writer.compact()


def test_an_unknown_outcome_ends_the_writer(disk: SimulatedDisk) -> None:
    writer = IndexWriter(PATH, files=disk)
    writer.add(batch_of({"a": {1: 1.0}}))

    def fail(operation: str, path: Path) -> None:
        if operation == "rename" and path.name.startswith("MANIFEST"):
            raise OSError(5, "broken")

    disk.before = fail
    for _ in range(2):
        with pytest.raises(CommitOutcomeError):
            writer.commit()
    disk.before = None
    with pytest.raises(CommitOutcomeError):
        writer.commit()
    writer.close()
    with IndexWriter(PATH, files=disk) as again:
        again.add(batch_of({"a": {1: 1.0}}))
        again.commit()


def test_a_thousand_documents_are_committed_quickly(tmp_path: Path) -> None:
    import time

    path = tmp_path / "x.index"
    rows = random_rows(1, numbered(2000), nnz=100, n_terms=5000)
    names = list(rows)
    build_index(path, [batch_of({d: rows[d] for d in names[:1000]})], n_terms=5000, max_weight=3.0)
    batch = batch_of({d: rows[d] for d in names[1000:]})
    with IndexWriter(path, files=DISK) as writer:
        writer.add(batch_of({"warm": {1: 1.0}}))
        writer.commit()
        started = time.perf_counter()
        writer.add(batch)
        writer.commit()
        took_ms = (time.perf_counter() - started) * 1e3
    assert took_ms < 1000, took_ms  # measured on a quiet machine: see docs/index-format.md
