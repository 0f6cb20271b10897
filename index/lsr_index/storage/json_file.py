"""Small JSON files that one command writes and others load, with their format and version."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lsr.errors import DataError, UsageError
from lsr.files import write_text

Made = TypeVar("Made")


def write_artefact_file(
    path: Path | str, format: str, version: int, values: Mapping[str, Any]
) -> None:
    """Write a file, whole or not at all; UsageError for a folder that cannot be written to."""
    body = {"format": format, "version": version, **values}
    write_text(Path(path), [json.dumps(body, indent=2, ensure_ascii=False), "\n"])


def read_artefact_file(
    path: Path | str,
    format: str,
    version: int,
    made_by: str,
    make: Callable[[dict[str, Any]], Made],
) -> Made:
    """Read a file of `write_artefact_file`.

    `made_by` is the command that makes such files, for messages; `make` makes the artefact of the
    values, or raises for values it cannot use. Raises UsageError where there is no such file,
    DataError for anything else, another version, or damage.
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
    try:
        return make(values)
    except (DataError, UsageError, TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: is damaged ({error}); fit it again with {made_by}") from None
