"""Small JSON files that commands write and later ones load: what they are, and of which version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsr.errors import DataError, UsageError
from lsr.textfile import write_text


def write_artefact_file(
    path: Path | str, format: str, version: int, values: Mapping[str, Any]
) -> None:
    """Write a file; it appears whole or not at all.

    Raises
    ------
    UsageError
        The folder is not there or not writable.
    StorageFullError
    """
    body = {"format": format, "version": version, **values}
    write_text(Path(path), [json.dumps(body, indent=2, ensure_ascii=False), "\n"])


def read_artefact_file(path: Path | str, format: str, version: int, made_by: str) -> dict[str, Any]:
    """Read what `write_artefact_file` wrote.

    Parameters
    ----------
    path : path
    format : str
    version : int
    made_by : str
        The command that makes such files, for messages.

    Raises
    ------
    UsageError
        There is no such file.
    DataError
        It is something else, or of another version.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: is no JSON; expected a file of {made_by}") from None
    if not isinstance(values, dict) or values.get("format") != format:
        raise DataError(f"{path}: is no file of {made_by}, which is expected here")
    if values.get("version") != version:
        raise DataError(
            f"{path}: has version {values.get('version')!r}, this program reads {version}; "
            f"make it again with {made_by}"
        )
    return values
