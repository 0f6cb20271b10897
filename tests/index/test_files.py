"""The file-system object: errors, short writes, locks. The real disk and the simulated agree."""

import errno
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lsr.errors import IndexLockedError, StorageFullError
from lsr_index.storage.directory import DISK, Files, OutputFile, remove_tree
from tests.index.faults.disk import SimulatedDisk
from tests.shared import ROOT


@pytest.fixture(params=["real", "simulated"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Files, Path]]:
    if request.param == "real":
        yield DISK, tmp_path
    else:
        disk = SimulatedDisk()
        disk.make_directory(Path("/d"))
        yield disk, Path("/d")


def test_a_file_comes_back(place: tuple[Files, Path]) -> None:
    files, folder = place
    with OutputFile(files, folder / "a") as out:
        out.write(b"one ")
        out.write(bytearray(b"two"))
        out.sync()
    files.rename(folder / "a", folder / "b")
    files.sync_directory(folder)
    assert files.names(folder) == ["b"]
    assert bytes(files.map(folder / "b")) == b"one two"
    assert out.position == 7


def test_errors_are_the_same(place: tuple[Files, Path]) -> None:
    files, folder = place
    with OutputFile(files, folder / "a"):
        pass
    files.make_directory(folder / "sub")
    with pytest.raises(FileExistsError):
        files.create(folder / "a")
    with pytest.raises(FileExistsError):
        files.make_directory(folder / "sub")
    with pytest.raises(FileNotFoundError):
        files.map(folder / "absent")
    with pytest.raises(FileNotFoundError):
        files.remove(folder / "absent")
    with pytest.raises(FileNotFoundError):
        files.names(folder / "absent")
    with pytest.raises(NotADirectoryError):
        files.names(folder / "a")
    assert not files.exists(folder / "absent")
    assert bytes(files.map(folder / "a")) == b""


def test_a_map_outlives_the_name(place: tuple[Files, Path]) -> None:
    files, folder = place
    with OutputFile(files, folder / "a") as out:
        out.write(b"kept")
    content = files.map(folder / "a")
    files.remove(folder / "a")
    assert bytes(content) == b"kept"
    assert content.readonly


def test_a_directory_replaces_an_empty_one_only(place: tuple[Files, Path]) -> None:
    files, folder = place
    for name in ("new", "empty", "full"):
        files.make_directory(folder / name)
    with OutputFile(files, folder / "full" / "a"):
        pass
    with pytest.raises(OSError, match="not empty"):
        files.rename(folder / "new", folder / "full")
    files.rename(folder / "new", folder / "empty")
    assert files.names(folder) == ["empty", "full"]
    remove_tree(files, folder / "full", re.compile("a"))
    remove_tree(files, folder / "absent", re.compile("a"))
    assert files.names(folder) == ["empty"]


def test_one_lock_at_a_time(place: tuple[Files, Path]) -> None:
    files, folder = place
    lock = files.lock(folder / "write.lock")
    with pytest.raises(IndexLockedError, match="another writer holds the lock"):
        files.lock(folder / "write.lock")
    lock.release()
    lock.release()
    files.lock(folder / "write.lock").release()
    assert files.names(folder) == ["write.lock"]


def test_a_lock_names_its_process_and_dies_with_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lsr_index.storage.directory import DISK\n"
        "lock = DISK.lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "write.lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(IndexLockedError, match=f"process {holder.pid}"):
            DISK.lock(path)
        holder.kill()
        holder.wait()
    DISK.lock(path).release()
    assert path.read_bytes() == b""


def test_a_lock_on_a_renamed_folder_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    held = DISK.lock(tmp_path / "new" / "write.lock")
    (tmp_path / "new").rename(tmp_path / "done")
    with pytest.raises(IndexLockedError):
        DISK.lock(tmp_path / "done" / "write.lock")
    held.release()


def test_short_writes_are_continued() -> None:
    disk = SimulatedDisk()
    disk.short_writes = random.Random(1)
    data = random.Random(2).randbytes(5000)
    with OutputFile(disk, Path("/a")) as out:
        out.write(data)
    assert disk.contents() == {"/a": data}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_a_storage_full_error(code: int) -> None:
    disk = SimulatedDisk()
    out = OutputFile(disk, Path("/a"))

    def fail(operation: str, path: Path) -> None:
        raise OSError(code, os.strerror(code))

    disk.before = fail
    with pytest.raises(StorageFullError, match="no room left"):
        out.write(b"x")


def test_other_failures_stay_what_they_are() -> None:
    disk = SimulatedDisk()
    out = OutputFile(disk, Path("/a"))

    def fail(operation: str, path: Path) -> None:
        raise OSError(errno.EIO, "broken")

    disk.before = fail
    with pytest.raises(OSError, match="broken") as caught:
        out.write(b"x")
    assert not isinstance(caught.value, StorageFullError)
