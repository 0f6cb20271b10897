"""Text files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from lsr.errors import StorageFullError, UsageError


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write a UTF-8 file, in place of one that may be there.

    Parameters
    ----------
    path : Path
    parts : iterable of str
        Written one after the other, line ends included.

    Raises
    ------
    UsageError
        If the file cannot be written there.
    StorageFullError
        If there is no room.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
        partial.replace(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    except OSError as error:
        raise StorageFullError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
