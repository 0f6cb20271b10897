"""Whatever somebody put at a name that is written or locked: told, and nothing of it touched."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.encoding import encode_corpus
from lsr.encoding.vector_file import encode_to_file
from lsr.errors import IndexLockedError, LsrError
from lsr.files import write_text
from lsr.records import Document
from lsr_index import IndexWriter, open_index
from lsr_index.build.index_corpus import index_corpus
from lsr_index.storage.manifest import manifest_name
from lsr_index.update.snapshot import restore, snapshot
from lsr_index.update.text_writer import IndexUpdater
from lsr_index.update.verify import verify

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and FIFOs of POSIX systems")


def link_to_folder(path: Path, victim: Path) -> None:
    path.symlink_to(victim, target_is_directory=True)


def link_to_file(path: Path, victim: Path) -> None:
    path.symlink_to(victim / "a.txt")


def link_to_nothing(path: Path, victim: Path) -> None:
    path.symlink_to(victim / "absent")


def hard_link(path: Path, victim: Path) -> None:
    os.link(victim / "a.txt", path)


def fifo(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def device(path: Path, victim: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path, victim: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(path.parent, os.O_RDONLY)
        try:  # a path of a socket has about a hundred characters at most
            server.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


def folder_of_files(path: Path, victim: Path) -> None:
    shutil.copytree(victim, path)


def folder_of_links(path: Path, victim: Path) -> None:
    path.mkdir()
    for name in ("write.lock", "lock", "job.json", "shard-00000.parquet", "tmp-000001", "x.tmp"):
        (path / name).symlink_to(victim / "a.txt")


def text_file(path: Path, victim: Path) -> None:
    path.write_text("mine")


PLANTED = [
    link_to_folder, link_to_file, link_to_nothing, hard_link, fifo, device, listening,
    folder_of_files, folder_of_links, text_file,
]  # fmt: skip


def corpus(folder: Path) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text('{"_id": "1", "text": "tea"}\n{"_id": "2", "text": "tea and milk"}\n')
    return path


def build(folder: Path) -> None:
    index_corpus(open_corpus(corpus(folder)), load_encoder("bm25"), folder / "x").close()


def add(folder: Path) -> None:
    with IndexUpdater(folder / "made") as updater:
        updater.add([Document("3", "more tea", "", {})])
        updater.commit()


def take_snapshot(folder: Path) -> None:
    snapshot(folder / "made", folder / "x")


def take_back(folder: Path) -> None:
    restore(folder / "saved", folder / "made", replace_existing=True)


def encode(folder: Path) -> None:
    encode_to_file(open_corpus(corpus(folder)), load_encoder("bm25"), folder / "x")


def write(folder: Path) -> None:
    write_text(folder / "x", ["text\n"])


CASES: list[tuple[Callable[[Path], None], str]] = [
    (build, ".x.new"), (build, "x"), (build, "x.building"),
    (take_snapshot, ".x.new"), (take_snapshot, "x"),
    (encode, "x.building"),
    (add, "made/write.lock"), (add, "made/tmp-000001"), (add, "made/MANIFEST-0000000000000002"),
    (take_back, "made/write.lock"), (take_back, "made/tmp-000001"),
    (take_back, "saved/MANIFEST-0000000000000002"),
]  # fmt: skip


def everything(folder: Path) -> dict[str, tuple[int, object]]:
    """Every name below a folder with what is there, links not followed."""
    found: dict[str, tuple[int, object]] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content: object = None
        if stat.S_ISREG(mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(mode):
            content = path.readlink()
        found[str(path.relative_to(folder))] = (mode, content)
    return found


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexes")
    index_corpus(open_corpus(corpus(folder)), load_encoder("bm25"), folder / "made").close()
    snapshot(folder / "made", folder / "saved")
    return folder


@pytest.mark.timeout(120)
@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
@pytest.mark.parametrize(("run", "name"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_what_is_not_ours_is_told_or_passed_by_and_stays(
    run: Callable[[Path], None],
    name: str,
    plant: Callable[[Path, Path], None],
    indexes: Path,
    tmp_path: Path,
) -> None:
    place, victim = tmp_path / "place", tmp_path / "victim"
    shutil.copytree(indexes, place)
    (victim / "sub").mkdir(parents=True)
    (victim / "a.txt").write_text("precious")
    (victim / "sub" / "b.txt").write_text("precious too")
    (place / name).unlink(missing_ok=True)
    plant(place / name, victim)
    before, planted = everything(victim), everything(place)
    try:
        run(place)
    except (LsrError, FileExistsError) as error:
        told: str | None = str(error)
    else:
        told = None
    assert everything(victim) == before
    after = everything(place)
    if told is not None:
        assert str(place) in told  # says where
        kept = {key: value for key, value in planted.items() if key.startswith(name)}
        assert {key: after.get(key) for key in kept} == kept
    else:  # a name that is ours to remove by itself; what it pointed to was looked at above
        assert "tmp-" in name or "MANIFEST" in name or plant is text_file


def test_a_linked_lock_is_not_truncated(indexes: Path, tmp_path: Path) -> None:
    shutil.copytree(indexes / "made", tmp_path / "x")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "x" / "write.lock").unlink()
    (tmp_path / "x" / "write.lock").symlink_to("../victim")
    with pytest.raises(LsrError, match="is no regular file"):
        IndexWriter(tmp_path / "x")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_user_folder_beside_the_target_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / ".x.new").mkdir()
    (tmp_path / ".x.new" / "mine.txt").write_text("mine")
    with pytest.raises(LsrError, match=r"holds 'mine\.txt', which this program did not make"):
        build(tmp_path)
    assert (tmp_path / ".x.new" / "mine.txt").read_text() == "mine"


def test_what_a_killed_build_left_is_taken_over(tmp_path: Path) -> None:
    left = tmp_path / ".x.new"
    (left / "tmp-000002").mkdir(parents=True)
    (left / "tmp-000002" / "spool-terms.tmp").write_bytes(b"x")
    (left / "tmp-000001").write_bytes(b"half")
    (left / "write.lock").write_bytes(b"4711\n")
    build(tmp_path)
    with open_index(tmp_path / "x") as index:
        assert index.n_docs == 2
    assert sorted(os.listdir(tmp_path)) == ["corpus.jsonl", "x"]


def test_the_folder_of_a_job_is_as_private_as_the_index(tmp_path: Path) -> None:
    build(tmp_path)
    encode_corpus(open_corpus(corpus(tmp_path)), load_encoder("bm25"), tmp_path / "y.building")
    modes = [
        {path.stat().st_mode & 0o777 for path in folder.iterdir()} | {folder.stat().st_mode & 0o777}
        for folder in (tmp_path / "x", tmp_path / "y.building")
    ]
    assert modes == [{0o700, 0o600}, {0o700, 0o600}]


class TestDamagedFormerManifest:
    """The generation before the last is damaged: told, and writers go on."""

    @pytest.fixture
    def path(self, indexes: Path, tmp_path: Path) -> Path:
        shutil.copytree(indexes, tmp_path / "place")
        add(tmp_path / "place")
        return tmp_path / "place" / "made"

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.write_bytes(b""),
            lambda path: path.write_bytes(b"lsr-manifest 1\n{}\ncrc32 00000000\n"),
            lambda path: path.write_bytes(b"lsr-manifest 9\n"),
            lambda path: (path.unlink(), path.symlink_to("absent")),
            lambda path: (path.unlink(), path.mkdir()),
            lambda path: (path.unlink(), os.mkfifo(path)),
        ],
    )
    def test_writers_go_on(self, path: Path, damage: Callable[[Path], object]) -> None:
        damage(path / manifest_name(1))
        report = verify(path, 1)
        assert report.exit_code == 1
        assert any(manifest_name(1) in problem for problem in report.problems)
        data = {name for name in os.listdir(path) if name.endswith(".lsr")}
        with IndexUpdater(path) as updater:
            # What the damaged generation needs may be any file: none is removed yet.
            assert data <= set(os.listdir(path))
            for number in range(3):
                updater.add([Document(f"n{number}", "tea again", "", {})])
                updater.commit()
            updater.compact()
        with open_index(path) as index:
            assert index.n_docs == 6
        if not (path / manifest_name(1)).is_dir():
            assert verify(path, 3).problems == []

    def test_a_damaged_newest_one_is_not_passed_over(self, path: Path) -> None:
        (path / manifest_name(2)).write_bytes(b"")
        with pytest.raises(LsrError, match=manifest_name(2)):
            IndexUpdater(path)


def test_a_released_lock_is_free_while_a_child_lives(tmp_path: Path, indexes: Path) -> None:
    shutil.copytree(indexes / "made", tmp_path / "x")
    reading, writing = os.pipe()
    writer = IndexWriter(tmp_path / "x")
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)  # until the parent ends or closes the pipe
        os._exit(0)
    try:
        writer.close()
        IndexWriter(tmp_path / "x").close()
    finally:
        os.close(writing)
        os.waitpid(child, 0)
        os.close(reading)


def test_a_child_neither_frees_the_lock_nor_writes(tmp_path: Path, indexes: Path) -> None:
    shutil.copytree(indexes / "made", tmp_path / "x")
    with IndexWriter(tmp_path / "x") as writer:
        child = os.fork()
        if not child:
            try:
                writer.delete(["1"])
                writer.commit()
            except LsrError:
                writer.close()
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(IndexLockedError):
            IndexWriter(tmp_path / "x")
        writer.delete(["2"])
        assert writer.commit().n_docs == 1
