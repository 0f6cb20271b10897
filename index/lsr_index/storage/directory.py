"""Files of an index: the one object that touches the disk.

Everything that must survive a power cut passes through `Files`: a dozen primitives, about one
system call each. Tests replace it by a simulated disk, cut the power between any two calls and
fail any of them. Looping over short writes, hashing and translating errors lie above the
primitives (`OutputFile`, `storage_errors`), so that they are the same code on either disk.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from lsr.errors import CorruptIndexError, StorageFullError
from lsr.own_files import (
    FULL_DISK,
    OWNER_FOLDER,
    Lock,
    create_file,
    lock_file,
    open_regular,
    remove_folder,
    sync_file,
    sync_folder,
    take_folder,
)

WRITE_CHUNK_BYTES = 1 << 22

SCRATCH_FILES = re.compile(r"[a-z_-]+\.(tmp|bin)")
"""Names of the files in a directory of `Files.scratch`."""


class Files:
    """The disk of this machine."""

    def create(self, path: Path) -> int:
        """Create a file that must not exist, for its owner only; return a handle to write to."""
        return create_file(path)

    def write(self, handle: int, data: memoryview) -> int:
        """Append some of `data`; return how many bytes were written."""
        return os.write(handle, data)

    def sync(self, handle: int) -> None:
        """Return when the file's content is on the device."""
        sync_file(handle)

    def close(self, handle: int) -> None:
        """Close a handle of `create`."""
        os.close(handle)

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory are on the device."""
        sync_folder(path)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or a directory another name; replaces a file or an empty directory."""
        source.rename(target)

    def remove(self, path: Path) -> None:
        """Remove the name of a file or a link. Maps of it stay readable."""
        path.unlink()

    def make_directory(self, path: Path) -> None:
        """Create a directory whose parent exists."""
        path.mkdir(mode=OWNER_FOLDER)

    def take_directory(self, path: Path, ours: re.Pattern[str], scratch: re.Pattern[str]) -> None:
        """Create a directory, or use one with files named `ours` and directories `scratch` only.

        NotOursError: something else is there; it is not touched.
        """
        take_folder(path, ours, scratch)

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""
        path.rmdir()

    def names(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted. Raises FileNotFoundError, NotADirectoryError."""
        return sorted(os.listdir(path))

    def exists(self, path: Path) -> bool:
        """Return whether anything has this name, a link to nothing included."""
        return os.path.lexists(path)

    def is_link(self, path: Path) -> bool:
        """Return whether a symbolic link has this name."""
        return path.is_symlink()

    def map(self, path: Path) -> memoryview:
        """Return the content of a file, mapped; CorruptIndexError unless it is a regular file."""
        try:
            handle = open_regular(path)
        except FileNotFoundError:
            if path.is_symlink():
                raise CorruptIndexError("is a link to nothing; expected a file", path) from None
            raise
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENXIO):
                raise CorruptIndexError("is no regular file", path) from None
            raise
        try:
            if os.fstat(handle).st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
        finally:
            os.close(handle)

    def free_bytes(self, path: Path) -> int:
        """Return how many more bytes fit on the device of `path`."""
        return shutil.disk_usage(path).free

    def scratch(self, path: Path) -> Path | None:
        """Create a directory for temporary files; None: work in memory instead.

        The caller removes it with `remove_scratch`; the next writer clears what a killed process
        leaves.
        """
        path.mkdir(mode=OWNER_FOLDER)
        return path

    def remove_scratch(self, path: Path) -> None:
        """Remove the scratch files in a directory, and the directory when nothing else is there."""
        remove_folder(path, SCRATCH_FILES)

    def lock(self, path: Path) -> Lock:
        """Acquire the writer's lock, or raise at once.

        Raises IndexLockedError when another process holds it (the message says which), NotOursError
        for anything but a lock file, which is not touched.
        """
        return lock_file(
            path,
            "another writer holds the lock; an index has one writer at a time: close the other "
            "one, or wait for it",
        )


DISK = Files()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn "no room left" of the operating system into StorageFullError."""
    try:
        yield
    except StorageFullError:
        raise
    except OSError as error:
        if error.errno in FULL_DISK:
            raise StorageFullError(
                f"{path}: no room left on the device ({os.strerror(error.errno or 0)}); nothing of "
                "this change was kept and what was committed before is untouched: make room and "
                "try again"
            ) from error
        raise


class OutputFile:
    """A new file, written once from front to back and hashed; `position` is its length so far."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self.path = path
        self.position = 0
        self._sha256 = hashlib.sha256()
        with storage_errors(path):
            self._handle: int | None = files.create(path)

    def write(self, data: Any) -> None:
        """Append all of `data`: bytes, or any contiguous buffer."""
        assert self._handle is not None, "written after it was closed"
        view = memoryview(data).cast("B")
        for start in range(0, len(view), WRITE_CHUNK_BYTES):
            piece = view[start : start + WRITE_CHUNK_BYTES]
            self._sha256.update(piece)
            with storage_errors(self.path):
                while len(piece):
                    taken = self._files.write(self._handle, piece)
                    self.position += taken
                    piece = piece[taken:]

    def digest(self) -> bytes:
        """Return the SHA-256 of the bytes written so far, 32 bytes."""
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


def remove_tree(files: Files, path: Path, ours: re.Pattern[str]) -> None:
    """Remove the files named `ours` from a directory, and the directory if that empties it."""
    if not files.exists(path) or files.is_link(path):
        return
    for name in files.names(path):
        if ours.fullmatch(name):
            files.remove(path / name)
    files.remove_directory(path)
