"""The one object through which an index touches the disk.

Everything that must survive a power cut passes through `Files`: a dozen primitives, about one
system call each. Tests put a simulated disk in its place, cut the power between any two calls and
fail any of them. Looping over short writes, hashing and translating errors lie above the
primitives (`OutputFile`, `storage_errors`), so that they are the same code on either disk.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from lsr.errors import IndexLockedError, StorageFullError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

WRITE_CHUNK_BYTES = 1 << 22


class Lock:
    """A kernel-held exclusive lock on a file: a killed process frees it. The file stays."""

    def __init__(self, handle: int, path: Path) -> None:
        self._handle: int | None = handle
        self.path = path

    def release(self) -> None:
        """Free the lock; harmless when it is free already."""
        if self._handle is not None:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


class Files:
    """The disk of this machine."""

    def create(self, path: Path) -> int:
        """Create a file that must not exist, for its owner only; return a handle to write to."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, handle: int, data: memoryview) -> int:
        """Append some of `data`; return how many bytes of it were taken."""
        return os.write(handle, data)

    def sync(self, handle: int) -> None:
        """Return when the file's content is on the device."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Close a handle of `create`."""
        os.close(handle)

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory are on the device."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or a directory another name; replaces a file or an empty directory."""
        source.rename(target)

    def remove(self, path: Path) -> None:
        """Remove the name of a file. Maps of it stay readable."""
        path.unlink()

    def make_directory(self, path: Path) -> None:
        """Create a directory whose parent exists."""
        path.mkdir(mode=0o700)

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""
        path.rmdir()

    def names(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted. Raises FileNotFoundError, NotADirectoryError."""
        return sorted(os.listdir(path))

    def exists(self, path: Path) -> bool:
        """Return whether anything has this name."""
        return path.exists()

    def map(self, path: Path) -> memoryview:
        """Return the content of a file, read-only and mapped: nothing is read until it is used."""
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def free_bytes(self, path: Path) -> int:
        """Return how many more bytes fit on the device of `path`."""
        stat = os.statvfs(path)
        return stat.f_bavail * stat.f_frsize

    def scratch(self, path: Path) -> Path | None:
        """Create a directory for what need not survive; None: work in memory instead.

        Whoever asks for it removes it, with `remove_scratch`. What a killed process leaves is
        cleared by the next writer.
        """
        path.mkdir(mode=0o700)
        return path

    def remove_scratch(self, path: Path) -> None:
        """Remove a directory of `scratch` and all that is in it."""
        shutil.rmtree(path, ignore_errors=True)

    def lock(self, path: Path) -> Lock:
        """Take the writer's lock, or raise IndexLockedError at once, naming the process."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or path.stat().st_ino != os.fstat(handle).st_ino:
                raise BlockingIOError(errno.EAGAIN, "the folder was renamed meanwhile")
            os.ftruncate(handle, 0)
            os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
            os.close(handle)
            raise IndexLockedError(
                f"{path}: another writer holds the lock"
                f"{f' (process {owner})' if owner else ''}; an index has one writer at a time: "
                "close the other one, or wait for it"
            ) from None
        except BaseException:
            os.close(handle)
            raise
        return Lock(handle, path)


DISK = Files()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn "no room left" of the operating system into StorageFullError."""
    try:
        yield
    except StorageFullError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(
                f"{path}: no room left on the device ({os.strerror(error.errno or 0)}); nothing of "
                "this change was kept and what was committed before is untouched: make room and "
                "try again"
            ) from error
        raise


class OutputFile:
    """A new file, written once from front to back, hashed on the way.

    Attributes
    ----------
    position : int
        Bytes written so far.
    """

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self.path = path
        self.position = 0
        self._sha256 = hashlib.sha256()
        with storage_errors(path):
            self._handle: int | None = files.create(path)

    def write(self, data: Any) -> None:
        """Append all of `data`: bytes, or anything contiguous that offers its memory."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), WRITE_CHUNK_BYTES):
            piece = view[start : start + WRITE_CHUNK_BYTES]
            self._sha256.update(piece)
            self._write_all(piece)

    def _write_all(self, piece: memoryview) -> None:
        assert self._handle is not None, "written after it was closed"
        with storage_errors(self.path):
            while len(piece):
                taken = self._files.write(self._handle, piece)
                self.position += taken
                piece = piece[taken:]

    def digest(self) -> bytes:
        """Return the SHA-256 of what was written so far, 32 bytes."""
        return self._sha256.digest()

    def sync(self) -> None:
        """Return when everything written is on the device."""
        assert self._handle is not None, "synced after it was closed"
        with storage_errors(self.path):
            self._files.sync(self._handle)

    def close(self) -> None:
        """Close the file; harmless when it is closed already."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._files.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def remove_tree(files: Files, path: Path) -> None:
    """Remove a directory of files (no directories below), or nothing when there is none."""
    if not files.exists(path):
        return
    for name in files.names(path):
        files.remove(path / name)
    files.remove_directory(path)
