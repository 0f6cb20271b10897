"""Output file of mining: appended chunk by chunk, renamed when it is complete."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from lsr.errors import UsageError
from lsr.files import write_bytes
from lsr.own_files import sync_folder


class MiningOutput:
    """Unfinished JSON lines file, with a record of its complete length.

    Parameters
    ----------
    path : Path
    identity : mapping
        JSON values that must be equal for a job to be resumed.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        if path.suffix != ".jsonl":
            raise UsageError(f"{path}: expected a name that ends in .jsonl")
        if path.exists():
            raise UsageError(f"{path}: exists already; remove it or choose another name")
        if not path.parent.is_dir():
            raise UsageError(f"{path.parent} is no folder; make it, or choose another place")
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._note = path.with_name(path.name + ".state")
        self._identity = identity
        self.done = self._n_bytes = 0
        if self._note.exists() and self._part.exists():
            self._resume()
        else:
            self._part.write_bytes(b"")

    def append(self, records: Sequence[dict[str, Any]]) -> None:
        """Append records, and record the new complete length."""
        data = b"".join(orjson.dumps(record) + b"\n" for record in records)
        with self._part.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.done += len(records)
        self._n_bytes += len(data)
        note = {"done": self.done, "bytes": self._n_bytes, "identity": self._identity}
        write_bytes(self._note, orjson.dumps(note))

    def finish(self) -> tuple[int, int]:
        """Rename the file; return its numbers of negatives and of records without any."""
        with self._part.open("rb") as file:
            counts = [len(orjson.loads(line)["negatives"]) for line in file]
        self._part.replace(self._path)
        sync_folder(self._path.parent)
        self._note.unlink(missing_ok=True)
        return sum(counts), counts.count(0)

    def _resume(self) -> None:
        note = orjson.loads(self._note.read_bytes())
        if note["identity"] != orjson.loads(orjson.dumps(self._identity)):
            raise UsageError(
                f"{self._part}: left by a job with other options or other data; remove it together "
                f"with {self._note.name}, or choose another name"
            )
        # A chunk whose note was never written is done again.
        os.truncate(self._part, note["bytes"])
        self.done, self._n_bytes = note["done"], note["bytes"]
