"""Files that appear complete or not at all, and the lock of a folder.

The one definition for everything outside of an index, whose commits have a disk object of their
own (`lsr_index.storage.directory`).
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lsr.errors import IndexLockedError, StorageFullError, UsageError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system reports when there is no room: device, quota, limit of a process."""
_WRONG_PLACE = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
_PREFIX, _SUFFIX = ".", ".part"


@contextmanager
def storage_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn what the system says of a file that is written into errors of this package.

    Parameters
    ----------
    path : Path
        The file, for messages.
    temporary : Path, optional
        Under which name it is written. An error that names a third file, such as one that is read
        meanwhile, passes as it came.

    Raises
    ------
    StorageFullError
        There is no room left.
    UsageError
        No file can be at `path`: no such folder, no permission, a name that is too long, a folder
        of that name.
    OSError
        Anything else, such as a failing disk, as it came.
    """
    try:
        yield
    except StorageFullError:
        raise
    except OSError as error:
        ours = {None, str(path), str(path.parent), str(temporary)}
        if temporary is not None and error.filename not in ours:
            raise
        if error.errno in FULL:
            raise StorageFullError(
                f"{path}: no room left on the device ({error.strerror}); what was complete before "
                "is kept. Free some and run the same again"
            ) from error
        if error.errno in _WRONG_PLACE:
            raise UsageError(
                f"{path} cannot be written: {error.strerror}; choose another place or name"
            ) from error
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path in the same folder, whose file takes the place of `path` at the end.

    The content is on the device before the file gets its name, and the name is before this
    returns, so that a power cut leaves the old file or the new one. After an exception the old one
    is untouched and nothing else is left.

    Parameters
    ----------
    path : Path
        Where the file is to be, in a folder that exists.

    Raises
    ------
    StorageFullError, UsageError
        See `storage_errors`; also for a `path` that is something else than a regular file.
    """
    # The name has a length of its own: that of `path` may be the longest that the system allows.
    temporary = path.parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
    with storage_errors(path, temporary):
        # A device, a pipe or a socket must not be replaced by a file.
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} cannot be written: it is no regular file")
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file, in place of one that may be there; see `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write a UTF-8 file, in place of one that may be there; see `atomic_path`.

    Parameters
    ----------
    path : Path
    parts : iterable of str
        Written one after the other, line ends included.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(parts)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the device; Windows keeps them by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Make a folder and hold its lock; the system releases it when the process dies.

    Leftovers of a killed process are removed first.

    Parameters
    ----------
    folder : Path
    work : str
        What the holder does, for the message to a second one: "encoding into".

    Raises
    ------
    IndexLockedError
        When another process works in this folder.
    StorageFullError, UsageError
        See `storage_errors`.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=0, mode=0o644, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise IndexLockedError(
                f"{folder}: another process is {work} this folder; wait for it, "
                "or choose another place"
            ) from None
    try:
        for leftover in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            leftover.unlink()
        yield
    finally:
        lock.release()
