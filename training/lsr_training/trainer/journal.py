"""Log of a run: JSON lines, one for each report; truncated when a run resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from lsr.files import write_bytes


class Journal:
    """Appends records to a file.

    Parameters
    ----------
    path : Path or None
        None writes nothing: processes other than the first.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def keep_until(self, step: int) -> None:
        """Remove the records after a step, which is repeated from there."""
        if self._path is None or not self._path.exists():
            return
        kept = [line for line in self._path.read_bytes().splitlines() if _step(line) <= step]
        write_bytes(self._path, b"".join(line + b"\n" for line in kept))

    def write(self, record: dict[str, Any]) -> None:
        """Append a record; it has a key ``step``."""
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(orjson.dumps(record) + b"\n")

    def records(self) -> list[dict[str, Any]]:
        """Return everything written so far."""
        if self._path is None or not self._path.exists():
            return []
        return [orjson.loads(line) for line in self._path.read_bytes().splitlines()]


def _step(line: bytes) -> int:
    try:
        return int(orjson.loads(line)["step"])
    except (orjson.JSONDecodeError, KeyError):
        # A line cut off by a crash belongs to nothing.
        return 1 << 62
