"""Files that appear complete or not at all, and the lock of a folder.

For everything outside of an index, whose commits use `lsr_index.storage.directory`.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lsr.errors import StorageFullError, UsageError
from lsr.own_files import (
    FULL_DISK,
    create_file,
    lock_file,
    remove_folder,
    sync_file,
    sync_folder,
    take_folder,
)

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
_PREFIX, _SUFFIX, _LOCK = ".", ".part", "lock"


@contextmanager
def storage_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn system errors about a file that is written into errors of this package.

    StorageFullError when there is no room left; UsageError when no file can be at `path` (no such
    folder, no permission, a name that is too long, a folder of that name). Others, such as a
    failing disk, and those that name a file other than `path` and `temporary`, pass as they came.
    """
    try:
        yield
    except StorageFullError:
        raise
    except OSError as error:
        ours = {None, str(path), str(path.parent), str(temporary)}
        if temporary is not None and error.filename not in ours:
            raise
        if error.errno in FULL_DISK:
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
def atomic_path(path: Path, mode: int = 0o666) -> Iterator[Path]:
    """Yield an empty file in the same folder, which takes the place of `path` at the end.

    The content is on the device before the file gets its name, and the name is before this returns,
    so that a power cut leaves the old file or the new one. After an exception the old one is
    untouched and nothing else is left. `mode` is masked as usual. Raises as `storage_errors`, and
    UsageError for a `path` that is something else than a regular file.
    """
    # The name has a length of its own: that of `path` may be the longest that the system allows.
    temporary = path.parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
    with storage_errors(path, temporary):
        # A device, a pipe or a socket must not be replaced by a file.
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} cannot be written: it is no regular file")
        try:
            os.close(create_file(temporary, mode))
            yield temporary
            with temporary.open("rb+") as file:
                sync_file(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`, to be filled and renamed; removed where it was not renamed.

    Its name cannot be guessed.
    """
    folder = path.parent / f"{_PREFIX}{path.name}.{secrets.token_hex(6)}{_SUFFIX}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_bytes(path: Path, content: bytes | memoryview, mode: int = 0o666) -> None:
    """Write a file; see `atomic_path`."""
    with atomic_path(path, mode) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write parts, line ends included, as a UTF-8 file; see `atomic_path`."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(parts)


@contextmanager
def locked(folder: Path, work: str, names: re.Pattern[str]) -> Iterator[None]:
    """Make a private folder and hold its lock; the system releases it when the process dies.

    `work` is what the holder does ("encoding into"), `names` matches the files that it makes.
    Leftovers of a killed process are removed first. Raises IndexLockedError; NotOursError for a
    link, or a folder that holds something else; as `storage_errors`.
    """
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        take_folder(folder, _with_own_names(names))
        lock = lock_file(
            folder / _LOCK,
            f"another process is {work} this folder; wait for it, or choose another place",
        )
    try:
        for leftover in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            leftover.unlink()
        yield
    finally:
        lock.release()


def remove_work(folder: Path, names: re.Pattern[str]) -> None:
    """Remove the files of work in a folder of `locked`, and the folder if nothing else is there."""
    remove_folder(folder, _with_own_names(names))


def _with_own_names(names: re.Pattern[str]) -> re.Pattern[str]:
    own = f"{_LOCK}|{re.escape(_PREFIX)}.*{re.escape(_SUFFIX)}"
    return re.compile(f"(?:{names.pattern})|{own}")
