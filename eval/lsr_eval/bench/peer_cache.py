"""Cache of peers' indexes and trials, kept in a folder for later runs.

Only peers are cached: they do not change when this package does. An entry is valid for the same
vectors, version of the peer, queries and values of k; otherwise it is made again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson

from lsr.errors import UsageError
from lsr.files import write_bytes
from lsr_eval.bench.records import BuildRecord, Measurement, Summary, as_json
from lsr_eval.bench.workload import Workload

MARKER = "lsr-bench.json"
KNOWN = "known.json"


def claim_folder(folder: Path, workload: Workload) -> None:
    """Create the cache folder of a workload, or check that `folder` is that.

    Raises
    ------
    UsageError
        If it holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / MARKER
    identity = {"workload": workload.as_dict(), "files": _files(workload)}
    if marker.is_file():
        if orjson.loads(marker.read_bytes())["workload"] != workload.as_dict():
            raise UsageError(f"{folder}: holds the indexes of another workload; name a new folder")
        if orjson.loads(marker.read_bytes())["files"] != identity["files"]:
            raise UsageError(f"{folder}: the vectors have changed since; name a new folder")
        return
    if any(folder.iterdir()):
        raise UsageError(f"{folder}: not empty; name an empty or a new folder for the indexes")
    write_bytes(marker, as_json(identity))


def recall_peer(folder: Path, key: dict[str, Any]) -> tuple[BuildRecord, list[Measurement]] | None:
    """Return what is known of the index in `folder`, or None and an empty folder.

    Parameters
    ----------
    folder : Path
        Of one variant of one peer.
    key : dict
        All that the knowledge depends on, as JSON values.
    """
    if (folder / KNOWN).is_file():
        known = orjson.loads((folder / KNOWN).read_bytes())
        if known["key"] == orjson.loads(orjson.dumps(key)):
            return BuildRecord(**known["build"]), [_measurement(one) for one in known["trials"]]
    if folder.exists():
        shutil.rmtree(folder)
    return None


def remember_peer(
    folder: Path, key: dict[str, Any], build: BuildRecord, trials: list[Measurement]
) -> None:
    """Write what was found out beside the index in `folder`."""
    write_bytes(folder / KNOWN, as_json({"key": key, "build": build, "trials": trials}))


def _measurement(figures: dict[str, Any]) -> Measurement:
    times = {name: Summary(**figures.pop(name)) for name in ("cpu", "wall")}
    return Measurement(**{**figures, **times, "queries_per_s": {}})


def _files(workload: Workload) -> list[list[int]]:
    stats = [Path(path).stat() for path in (workload.docs, workload.queries)]
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]
