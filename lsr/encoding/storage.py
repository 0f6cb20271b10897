"""Files of an encode job: written whole or not at all, and locked against a second process."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lsr.errors import IndexLockedError, StorageFullError
from lsr.vectors.writing import atomic_path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under another name, sync it, give it its name and sync that.

    Raises
    ------
    StorageFullError
        When there is no room; nothing is left of the attempt.
    """
    with room_on_disk(path):
        with atomic_path(path) as temporary:
            write(temporary)
        sync_folder(path.parent)


@contextmanager
def room_on_disk(path: Path) -> Iterator[None]:
    """Turn the system's ways to say that the disk is full into `StorageFullError`."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, StorageFullError) and error.errno not in _FULL:
            raise
        raise StorageFullError(
            f"{path}: no room left on the device; what was encoded so far is kept. "
            "Free some and run the same again to continue"
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a job; the system releases it when the process dies.

    Raises
    ------
    IndexLockedError
        When another process works in this folder.
    """
    import fcntl

    with room_on_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise IndexLockedError(
                f"{folder}: another process is encoding into this folder; wait for it, "
                "or choose another place"
            ) from error
        yield
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make names of files that were just renamed survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process was writing. Only under the lock."""
    for path in folder.glob(".*.part"):
        path.unlink()
