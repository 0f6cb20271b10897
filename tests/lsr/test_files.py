"""Files that appear complete or not at all, and the lock of a folder."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lsr.errors import IndexLockedError, StorageFullError, UsageError
from lsr.files import atomic_path, fresh_folder, locked, write_bytes, write_text
from tests.shared import ROOT

Write = Callable[[Path], None]
WRITERS: dict[str, Write] = {
    "bytes": lambda path: write_bytes(path, b"new"),
    "text": lambda path: write_text(path, ["n", "ew"]),
}


@pytest.fixture(params=sorted(WRITERS))
def write(request: pytest.FixtureRequest) -> Write:
    """Return each function that writes a file."""
    return WRITERS[request.param]


@pytest.mark.parametrize("name", ["f", "é" * 127, "n" * 255])
def test_a_file_takes_the_place_of_another(tmp_path: Path, write: Write, name: str) -> None:
    path = tmp_path / name
    path.write_text("old")
    write(path)
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("n" * 300, "File name too long"),
        ("/".join(["d" * 200] * 30), "File name too long"),
        ("missing/f", "No such file"),
        ("file/f", "Not a directory"),
        ("folder", "no regular file"),
        ("pipe", "no regular file"),
        ("loop/f", "Too many levels"),
    ],
)
def test_a_place_where_no_file_can_be(
    tmp_path: Path, write: Write, place: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UsageError, match=reason):
        write(tmp_path / place)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_every_failure_of_the_system_keeps_the_old_file(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    full = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    wrong_place = {errno.ENAMETOOLONG, errno.EACCES, errno.EROFS, errno.ENOENT, errno.ENOTDIR}
    for code in errno.errorcode:

        def fail(*_: object, code: int = code, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patched:
            owner = os if call == "fsync" else Path
            for name in (call, "write_bytes") if call == "open" else (call,):
                patched.setattr(owner, name, fail)
            with pytest.raises((OSError, UsageError)) as caught:
                write(path)
        assert isinstance(caught.value, StorageFullError) == (code in full), errno.errorcode[code]
        assert code not in wrong_place or isinstance(caught.value, UsageError)
        assert code in full | wrong_place or "left" not in str(caught.value)
        assert path.read_text() == "old"
        assert os.listdir(tmp_path) == ["f"]


def test_content_and_name_are_on_the_device_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        fsync(handle)
        seen.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")

    def renamed(path: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_bytes(tmp_path / "f", b"new")
    assert seen == ["file", "rename", "folder"]


def test_an_exception_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    def half() -> Iterator[str]:
        yield "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "f", half())
    assert os.listdir(tmp_path) == []


KEPT = re.compile(r"\.kept")

HOLD = """
import re, sys, pathlib
from lsr.files import locked
with locked(pathlib.Path(sys.argv[1]), "working in", re.compile("job")):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_frees_the_lock_and_its_leftovers_go(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(IndexLockedError, match="another process is working in this folder"):
            locked(folder, "working in", KEPT).__enter__()
        (folder / ".half.part").touch()
        (folder / ".kept").touch()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with locked(folder, "working in", KEPT):
        assert sorted(os.listdir(folder)) == [".kept", "lock"]
        with pytest.raises(IndexLockedError), locked(folder, "working in", KEPT):
            pass


def test_the_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "lock").symlink_to(victim)
    with (
        pytest.raises(UsageError, match="holds 'lock'"),
        locked(tmp_path / "job", "in", KEPT),
    ):
        pass
    assert victim.read_text() == "kept"


def test_an_error_of_another_file_is_not_one_of_this_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source"), atomic_path(tmp_path / "f"):
        (tmp_path / "source").read_bytes()


def test_a_fresh_folder_touches_nothing_that_was_there(tmp_path: Path) -> None:
    for name in ("model.part", ".model.part", "model.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").touch()
    before = sorted(tmp_path.rglob("*"))
    with fresh_folder(tmp_path / "model") as folder:
        (folder / "made").touch()
        folder.rename(tmp_path / "model")
    assert sorted(tmp_path.rglob("*")) == sorted(
        [*before, tmp_path / "model", tmp_path / "model" / "made"]
    )
    with fresh_folder(tmp_path / "other") as folder:
        (folder / "half").touch()
    assert not folder.exists()
