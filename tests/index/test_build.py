"""Building: what goes in comes out, in bounded memory, and nothing half-written stays."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.errors import (
    CorruptIndexError,
    DataError,
    FormatVersionError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    StorageFullError,
    UsageError,
)
from lsr.records import Document, DocumentBatch
from lsr.sparse import SparseBatch
from lsr_index import build_index, open_index
from lsr_index.search.options import SearchOptions
from lsr_index.storage.container import FileEntry
from tests.index.collections import N_TERMS, batch_of, exhaustive, numbered, query_of, random_rows
from tests.index.faults.disk import SimulatedDisk
from tests.shared import run_python

ROWS = random_rows(1, numbered(60))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_documents_vectors_and_encoder_come_back(tmp_path: Path) -> None:
    documents = {
        doc_id: Document(doc_id, f"Text {doc_id} é\n", f"Title {doc_id}", {"n": i, "tags": ["x"]})
        for i, doc_id in enumerate(ROWS)
    }
    assets = EncoderAssets({"kind": "bm25"}, {"idf": np.arange(4, dtype=np.float32)})
    fingerprint = Fingerprint({"kind": "bm25"}, {"idf": "own"})
    built = build_index(
        tmp_path / "x.index",
        [batch_of(ROWS, documents)],
        encoder=assets,
        fingerprint=fingerprint,
        n_terms=N_TERMS,
        max_weight=3.0,
    )
    for index in (built, open_index(tmp_path / "x.index", verify="structure")):
        assert (index.n_docs, index.n_terms, index.generation) == (60, N_TERMS, 1)
        assert index.fingerprint == fingerprint
        assert index.encoder_assets is not None
        assert index.encoder_assets.config == {"kind": "bm25"}
        np.testing.assert_array_equal(index.encoder_assets.arrays["idf"], assets.arrays["idf"])
        assert index.documents(range(60)) == list(documents.values())
        assert index.document("d7") == documents["d7"]
        assert index.document("absent") is None
        for ordinal, row in enumerate(ROWS.values()):
            terms, impacts = index.vector(ordinal)
            found = dict(zip(terms.tolist(), impacts * index.manifest.scale, strict=True))
            assert found == pytest.approx(row)


def test_hits_are_those_of_plain_arithmetic(tmp_path: Path) -> None:
    index = build_index(tmp_path / "x.index", [batch_of(ROWS)], max_weight=3.0)
    for seed, query in enumerate(random_rows(2, numbered(20, "q"), top=1.0).values()):
        wanted = exhaustive(ROWS, query, 10)
        hits = index.search(query_of(query), 10)
        assert hits.rank_safe
        assert hits.generation == 1
        assert hits.scores == pytest.approx([score for _, score in wanted], rel=2e-3), seed
        for ordinal, score in zip(hits.ordinals, hits.scores, strict=True):
            explained = index.explain(query_of(query), int(ordinal))
            assert sum(c for _, c in explained) == pytest.approx(score, rel=1e-12)
            assert {term for term, _ in explained} <= query.keys()


def test_a_batch_of_queries_gives_what_single_queries_give(tmp_path: Path) -> None:
    index = build_index(tmp_path / "x.index", [batch_of(ROWS)])
    queries = SparseBatch.from_rows([*random_rows(3, numbered(30)).values(), {}, {99_999: 1.0}])
    for threads in (1, 2):
        many = index.search_batch(queries, 7, threads=threads)
        for i, hits in enumerate(many):
            one = index.search(queries.rows(i, i + 1), 7)
            assert hits.ids == one.ids
            assert hits.int_scores.tolist() == one.int_scores.tolist()
            assert hits.scores.tolist() == one.scores.tolist()


def test_vectors_alone_are_numbered(tmp_path: Path) -> None:
    matrix = sp.random(5000, 50, 0.1, random_state=1, format="csr", dtype=np.float32)
    a = build_index(tmp_path / "a.index", matrix)
    b = build_index(tmp_path / "b.index", SparseBatch.from_scipy(matrix))
    assert a.doc_ids([0, 4999]) == ["0", "4999"]
    assert contents(tmp_path / "a.index") == contents(tmp_path / "b.index")
    query = sp.random(1, 50, 0.2, random_state=2, format="csr", dtype=np.float32)
    assert a.search(query, 5).ids == b.search(SparseBatch.from_scipy(query), 5).ids


@pytest.mark.parametrize("reorder", [False, True])
def test_scratch_files_and_batching_do_not_change_a_byte(
    tmp_path: Path, reorder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The out-of-core way writes the same files, and leaves no scratch behind."""
    rows = random_rows(4, numbered(400))
    names = list(rows)

    def batches(size: int) -> list[DocumentBatch]:
        return [
            batch_of({name: rows[name] for name in names[i : i + size]})
            for i in range(0, len(names), size)
        ]

    build_index(tmp_path / "a.index", batches(400), reorder=reorder, range_size=128, block_size=16)
    monkeypatch.setattr("lsr_index.segment.writer._MEMORY_SHARE", 1 << 30)
    build_index(
        tmp_path / "b.index",
        lambda: iter(batches(7)),
        reorder=reorder,
        range_size=128,
        block_size=16,
        threads=1,
    )
    assert contents(tmp_path / "a.index") == contents(tmp_path / "b.index")
    assert {path.name for path in tmp_path.iterdir()} == {"a.index", "b.index"}
    index = open_index(tmp_path / "b.index", verify="structure")
    for ordinal in (0, 131, 399):
        terms, _ = index.vector(ordinal)
        assert terms.tolist() == sorted(rows[names[ordinal]])


class TestEmpty:
    def test_no_documents(self, tmp_path: Path) -> None:
        index = build_index(tmp_path / "x.index", [], n_terms=10)
        assert index.n_docs == 0
        assert index.search(query_of({1: 1.0}), 5).ids == []
        assert [hits.ids for hits in index.search_batch(query_of({1: 1.0}), 5)] == [[]]
        assert index.document("a") is None
        assert index.stats().n_postings == 0

    def test_documents_without_terms_are_stored_and_never_returned(self, tmp_path: Path) -> None:
        index = build_index(tmp_path / "x.index", [batch_of({"a": {}, "b": {}})], n_terms=0)
        assert index.n_docs == 2
        assert index.document("b") is not None
        assert index.search(query_of({1: 1.0}), 5).ids == []


class TestRefused:
    def test_an_id_twice(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="'d0' appears twice"):
            build_index(tmp_path / "x.index", [batch_of(ROWS), batch_of({"d0": {1: 1.0}})])
        assert list(tmp_path.iterdir()) == []

    def test_a_term_outside_of_the_vocabulary(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"document 'b' has term id 12, .* 10 terms"):
            build_index(
                tmp_path / "x.index", [batch_of({"a": {1: 1.0}, "b": {12: 1.0}})], n_terms=10
            )

    def test_a_weight_that_does_not_fit(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="do not fit the max_weight"):
            build_index(tmp_path / "x.index", [batch_of({"a": {1: 2.0}})], max_weight=1.0)

    def test_an_iterator_that_is_used_up(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="read only once"):
            build_index(tmp_path / "x.index", iter([batch_of(ROWS)]))

    def test_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="cannot build an index of int"):
            build_index(tmp_path / "x.index", 5)

    def test_an_unknown_option(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="unknown option 'colour'"):
            build_index(tmp_path / "x.index", [], colour="red")

    def test_an_option_out_of_range(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="block_size must be one of"):
            build_index(tmp_path / "x.index", [], block_size=0)

    def test_fields_of_different_lengths(self, tmp_path: Path) -> None:
        batch = batch_of(ROWS)._replace(texts=["only one"])
        with pytest.raises(DataError, match=r"60 vectors, but .* of \[1, 60\] documents"):
            build_index(tmp_path / "x.index", [batch])

    def test_an_index_that_is_there(self, tmp_path: Path) -> None:
        build_index(tmp_path / "x.index", [batch_of(ROWS)])
        before = contents(tmp_path / "x.index")
        with pytest.raises(IndexExistsError):
            build_index(tmp_path / "x.index", [batch_of(ROWS)])
        assert contents(tmp_path / "x.index") == before


class TestReplace:
    def test_readers_keep_theirs(self, tmp_path: Path) -> None:
        old = build_index(tmp_path / "x.index", [batch_of(ROWS)])
        new = build_index(tmp_path / "x.index", [batch_of({"new": {1: 1.0}})], replace=True)
        assert (old.generation, new.generation) == (1, 2)
        assert old.document("d3") is not None
        assert old.document("new") is None
        assert new.document("d3") is None
        assert old.refresh().document("new") is not None
        assert new.refresh() is new

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert build_index(tmp_path / "x.index", [batch_of(ROWS)], replace=True).generation == 1

    def test_the_old_one_stays_when_it_fails(self, tmp_path: Path) -> None:
        build_index(tmp_path / "x.index", [batch_of(ROWS)])
        before = contents(tmp_path / "x.index")
        bad = [batch_of({"a": {1: 1.0}}), batch_of({"a": {1: 1.0}})]
        with pytest.raises(DataError):
            build_index(tmp_path / "x.index", bad, replace=True)
        assert contents(tmp_path / "x.index") == before


class TestFullDisk:
    def test_at_every_size_nothing_half_written_stays(self) -> None:
        roomy = SimulatedDisk()
        build_index("/x.index", [batch_of(ROWS)], files=roomy)
        needed = roomy.used_bytes()
        for capacity in range(0, needed, max(1, needed // 40)):
            disk = SimulatedDisk()
            disk.capacity = capacity
            with pytest.raises(StorageFullError, match="no room left"):
                build_index("/x.index", [batch_of(ROWS)], files=disk)
            assert disk.contents() == {}
            disk.capacity = None
            assert build_index("/x.index", [batch_of(ROWS)], files=disk).n_docs == 60

    @pytest.mark.parametrize("memory_bytes", [1 << 12, 1 << 30])
    def test_a_real_limit(self, tmp_path: Path, memory_bytes: int) -> None:
        code = (
            "import resource, signal, sys\n"
            "from lsr_index import build_index\n"
            "from lsr.errors import StorageFullError\n"
            "import scipy.sparse as sp, numpy as np\n"
            "m = sp.random(3000, 500, 0.1, random_state=1, format='csr', dtype=np.float32)\n"
            "build_index(sys.argv[1] + '/warm.index', m[:10])\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
            "try:\n"
            "    build_index(sys.argv[1] + '/x.index', m, memory_bytes=int(sys.argv[2]))\n"
            "except StorageFullError as error:\n"
            "    print(error)\n"
        )
        assert "no room left" in run_python(code, tmp_path, memory_bytes)
        assert {path.name for path in tmp_path.iterdir()} == {"warm.index"}


def test_an_interrupted_build_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    def interrupted() -> Iterator[DocumentBatch]:
        yield batch_of(ROWS)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path / "x.index", interrupted, n_terms=N_TERMS, max_weight=3.0)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_build_is_cleared_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".x.index.new"
    (left / "tmp-000001").mkdir(parents=True)
    (left / "tmp-000001" / "spool-terms.tmp").write_bytes(b"x")
    (left / "tmp-000002").write_bytes(b"x")
    build_index(tmp_path / "x.index", [batch_of(ROWS)])
    assert [path.name for path in tmp_path.iterdir()] == ["x.index"]
    assert not [name for name in os.listdir(tmp_path / "x.index") if name.startswith("tmp")]


def test_two_builds_of_one_index_exclude_each_other(tmp_path: Path) -> None:
    def batches() -> list[DocumentBatch]:
        with pytest.raises(IndexLockedError):
            build_index(tmp_path / "x.index", [batch_of(ROWS)])
        return [batch_of(ROWS)]

    build_index(tmp_path / "x.index", batches, n_terms=N_TERMS, max_weight=3.0)


class TestOpening:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(IndexNotFoundError):
            open_index(tmp_path / "x.index")
        with pytest.raises(IndexNotFoundError, match="is no index"):
            open_index(tmp_path)

    def test_each_missing_file_is_named(self, tmp_path: Path) -> None:
        assets = EncoderAssets({"kind": "x"})
        build_index(tmp_path / "x.index", [batch_of(ROWS)], encoder=assets)
        for path in (tmp_path / "x.index").glob("*.lsr"):
            content = path.read_bytes()
            path.unlink()
            with pytest.raises(CorruptIndexError, match=f"{path.name}: the file is missing"):
                _ = open_index(tmp_path / "x.index").encoder_assets
            path.write_bytes(content)

    def test_a_newer_version_is_named(self, tmp_path: Path) -> None:
        build_index(tmp_path / "x.index", [batch_of(ROWS)])
        path = tmp_path / "x.index" / "MANIFEST-0000000000000001"
        path.write_bytes(path.read_bytes().replace(b"manifest 1", b"manifest 9"))
        with pytest.raises(FormatVersionError, match="format 9 is newer"):
            open_index(tmp_path / "x.index")

    def test_another_generation(self, tmp_path: Path) -> None:
        build_index(tmp_path / "x.index", [batch_of(ROWS)])
        build_index(tmp_path / "x.index", [batch_of({"a": {1: 1.0}})], replace=True)
        assert open_index(tmp_path / "x.index", generation=1).n_docs == 60
        with pytest.raises(IndexNotFoundError, match="generation 3 is not here"):
            open_index(tmp_path / "x.index", generation=3)

    def test_a_closed_index_says_so(self, tmp_path: Path) -> None:
        from lsr.errors import IndexStateError

        with build_index(tmp_path / "x.index", [batch_of(ROWS)]) as index:
            assert index.n_docs == 60
        with pytest.raises(IndexStateError, match="closed"):
            index.search(query_of({1: 1.0}))

    @pytest.mark.parametrize("k", [0, -1, 1.5, True, "3", 10**7])
    def test_bad_k(self, tmp_path: Path, k: int) -> None:
        index = build_index(tmp_path / "x.index", [batch_of(ROWS)])
        with pytest.raises(UsageError, match="k must be"):
            index.search(query_of({1: 1.0}), k)

    def test_bad_queries_and_modes(self, tmp_path: Path) -> None:
        index = build_index(tmp_path / "x.index", [batch_of(ROWS)])
        with pytest.raises(UsageError, match="one vector"):
            index.search(SparseBatch.from_rows([{1: 1.0}, {2: 1.0}]))
        with pytest.raises(UsageError, match="SparseBatch or a SciPy"):
            index.search("text")
        with pytest.raises(UsageError, match="alpha"):
            SearchOptions(alpha=2.0)
        with pytest.raises(UsageError, match="no document number"):
            index.documents([60])
        with pytest.raises(UsageError, match="threads"):
            index.search_batch(query_of({1: 1.0}), threads=0)
        with pytest.raises(UsageError, match="verify is"):
            open_index(tmp_path / "x.index", verify="all")  # type: ignore[arg-type]


def test_opening_reads_next_to_nothing(tmp_path: Path) -> None:
    """Pages of a large segment stay on the disk until they are used."""
    matrix = sp.random(60_000, 500, 0.05, random_state=1, format="csr", dtype=np.float32)
    build_index(tmp_path / "x.index", matrix).close()
    (segment,) = (tmp_path / "x.index").glob("segment-*")
    size = segment.stat().st_size
    with segment.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index = open_index(tmp_path / "x.index")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert size > 5 << 20
    assert grown < size / 4
    assert index.document("49999") is not None


def test_the_file_entry_has_no_path_in_it() -> None:
    assert FileEntry("segment", "ab" * 16, 1, "").name == f"segment-{'ab' * 16}.lsr"


def test_errors_of_the_device_are_not_hidden(tmp_path: Path) -> None:
    disk = SimulatedDisk()

    def fail(operation: str, path: Path) -> None:
        if operation == "sync":
            raise OSError(errno.EIO, "broken")

    disk.before = fail
    with pytest.raises(OSError, match="broken"):
        build_index("/x.index", [batch_of(ROWS)], files=disk)
    with pytest.raises(IndexNotFoundError):
        open_index("/x.index", files=disk)
