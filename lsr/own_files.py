"""This program's names on a disk: created, locked and removed without following links.

A folder that others can write to may hold anything at such a name: a link to somebody's files, a
FIFO, a folder of the user's own. It is used or removed only when it is a regular file or folder of
this program; everything else is an error that says what to move away.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from lsr.errors import IndexLockedError, UsageError


def _module(name: str) -> Any:
    """Return a module that only some systems have, None where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl, msvcrt = _module("fcntl"), _module("msvcrt")
"""POSIX has the one, Windows the other, and where neither is there is one process only."""

FULL_DISK = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
"""What the system calls a disk, or a person's share of it, without room."""

OWNER_FILE, OWNER_FOLDER = 0o600, 0o700

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_CLOSE = getattr(os, "O_CLOEXEC", 0)
_DIRECTORY = getattr(os, "O_DIRECTORY", 0)
_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None) if sys.platform == "darwin" else None
_LOCK_BYTE = 1 << 30
_HAS_DIR_FD = os.unlink in os.supports_dir_fd
_OWNER = re.compile(rb"(\d{1,10}\n)?")


class NotOursError(UsageError):
    """Something that this program did not make is at a name that it needs."""


def create_file(path: Path, mode: int = OWNER_FILE) -> int:
    """Create a file that must not exist, not even as a link; return a handle to write to."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOSE | _BINARY
    return os.open(path, flags, mode)


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = OWNER_FILE) -> int:
    """Open a regular file, without waiting for what is none.

    Raises OSError with the number EINVAL for a FIFO, a device or a socket; else as `os.open`.
    """
    handle = os.open(path, flags | _NO_WAIT | _CLOSE | _BINARY, mode)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        os.close(handle)
        if is_folder:
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return handle


def sync_file(handle: int) -> None:
    """Return when the content of a file is on the device, past the cache of the drive."""
    if _FULL_SYNC is not None:
        with suppress(OSError):  # not every file system has it
            fcntl.fcntl(handle, _FULL_SYNC)
            return
    os.fsync(handle)


def sync_folder(path: Path) -> None:
    """Return when the names in a folder are on the device; Windows has no way to ask for it."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY | _DIRECTORY | _CLOSE)
    try:
        sync_file(handle)
    finally:
        os.close(handle)


def take_folder(path: Path, ours: re.Pattern[str], folders: re.Pattern[str] | None = None) -> None:
    """Make a folder for this program's work, or reuse one that it left; its parent exists.

    `ours` matches the names of files that may be in it, `folders` those of folders (default: none).
    Raises NotOursError, changing nothing, for a link, a file, another user's folder, or a folder
    that holds something else.
    """
    try:
        path.mkdir(mode=OWNER_FOLDER)
        return
    except FileExistsError:
        pass
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        what = "a link" if stat.S_ISLNK(found.st_mode) else "no folder"
        raise NotOursError(
            f"{path}: is {what}, but this name is needed for work in progress; {_MOVE}"
        )
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise NotOursError(f"{path}: belongs to another user, but this name is needed; {_MOVE}")
    foreign = [
        name for name in sorted(os.listdir(path)) if not _is_ours(path / name, ours, folders)
    ]
    if foreign:
        raise NotOursError(
            f"{path}: holds {foreign[0]!r}, which this program did not make, but the folder's name "
            f"is needed for work in progress; {_MOVE}"
        )
    if hasattr(os, "geteuid"):
        path.chmod(OWNER_FOLDER)


_MOVE = "move it away, or choose another place"


def _is_ours(path: Path, ours: re.Pattern[str], folders: re.Pattern[str] | None) -> bool:
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        return folders is not None and folders.fullmatch(path.name) is not None
    return stat.S_ISREG(mode) and ours.fullmatch(path.name) is not None


def remove_folder(path: Path, ours: re.Pattern[str]) -> bool:
    """Remove the files of this program from a folder, and the folder when it is empty then.

    Follows no link and descends into no folder. Returns whether it is gone.
    """
    if not _HAS_DIR_FD and (path.is_symlink() or not path.is_dir()):
        return False
    try:
        # Names are removed below the open folder: nobody can put a link in its place meanwhile.
        flags = os.O_RDONLY | _DIRECTORY | _NO_FOLLOW | _CLOSE
        handle = os.open(path, flags) if _HAS_DIR_FD else None
    except OSError:
        return False
    try:
        for name in os.listdir(path if handle is None else handle):
            if ours.fullmatch(name):
                with suppress(OSError):
                    os.unlink(path / name if handle is None else name, dir_fd=handle)
    finally:
        if handle is not None:
            os.close(handle)
    with suppress(OSError):
        path.rmdir()
        return True
    return False


class Lock:
    """An exclusive lock on a file, held by the kernel: a killed process frees it. The file stays.

    It belongs to the process that took it. A forked child neither keeps it nor can free it.
    """

    def __init__(self, handle: int, path: Path) -> None:
        self._handle: int | None = handle
        self.path = path
        _held.add(self)

    @property
    def held(self) -> bool:
        return self._handle is not None

    def release(self) -> None:
        """Free the lock; harmless when it is free already."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with suppress(OSError):
                os.ftruncate(handle, 0)
                # Closing is not enough: a child between fork and exec has the file open too.
                _unlock(handle)
            os.close(handle)

    def forget(self) -> None:
        """Close the file in a forked child; the parent keeps the lock."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


_held: WeakSet[Lock] = WeakSet()


def _forget_all() -> None:
    for lock in list(_held):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def lock_file(path: Path, what: str) -> Lock:
    """Lock a file; raises IndexLockedError, with `what` the other process does.

    It is made when it is not there, and holds the number of the process. Raises NotOursError,
    touching nothing, when a link, a FIFO, a folder or a file with other content is there.
    """
    try:
        handle = open_regular(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK, errno.EINVAL, errno.EISDIR, errno.ENXIO):
            raise
        raise NotOursError(f"{path}: is no regular file; a lock is needed here, {_MOVE}") from None
    try:
        _lock(handle)
        if not path.exists() or not os.path.samestat(path.lstat(), os.fstat(handle)):
            raise BlockingIOError(errno.EAGAIN, "the folder was renamed meanwhile")
        _require_lock_content(handle, path)
        os.ftruncate(handle, 0)
        os.write(handle, b"%d\n" % os.getpid())
    except BlockingIOError:
        os.lseek(handle, 0, os.SEEK_SET)
        owner = os.read(handle, 32)
        os.close(handle)
        number = owner.decode().strip() if _OWNER.fullmatch(owner) else ""
        raise IndexLockedError(
            f"{path}: {what}{f' (process {number})' if number else ''}"
        ) from None
    except BaseException:
        os.close(handle)
        raise
    return Lock(handle, path)


def _require_lock_content(handle: int, path: Path) -> None:
    content = os.read(handle, 32)
    os.lseek(handle, 0, os.SEEK_SET)
    if not _OWNER.fullmatch(content):
        raise NotOursError(f"{path}: is not a lock of this program; it is not touched, {_MOVE}")


def _lock(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt is not None:
        # A byte far behind the content, which others may then read.
        os.lseek(handle, _LOCK_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BlockingIOError(errno.EAGAIN, "locked") from None
        finally:
            os.lseek(handle, 0, os.SEEK_SET)


def _unlock(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_UN)
    elif msvcrt is not None:
        os.lseek(handle, _LOCK_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)


_position_lock = threading.Lock()


def read_at(handle: int, view: memoryview, at: int) -> int:
    """Read into `view` from position `at`; return how many bytes were there."""
    if hasattr(os, "preadv"):
        return os.preadv(handle, [view], at)
    with _position_lock:
        os.lseek(handle, at, os.SEEK_SET)
        data = os.read(handle, len(view))
        view[: len(data)] = data
        return len(data)


def write_at(handle: int, data: memoryview, at: int) -> int:
    """Write some of `data` at position `at`; return how many bytes were taken."""
    if hasattr(os, "pwrite"):
        return os.pwrite(handle, data, at)
    with _position_lock:
        os.lseek(handle, at, os.SEEK_SET)
        return os.write(handle, data)
