"""Cache of peers' indexes and trials, kept in a folder for later runs.

Only peers are cached: they do not change when this package does. An entry is valid for the same
vectors, version of the peer, queries and values of k; otherwise it is made again.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from lsr.errors import UsageError
from lsr.files import write_bytes
from lsr_eval.bench.records import BuildRecord, Measurement, as_json
from lsr_eval.bench.workload import Workload
from lsr_eval.measures.latency import Percentiles

MARKER = "lsr-bench.json"
KNOWN = "known.json"


def claim_folder(folder: Path, workload: Workload) -> None:
    """Create the cache folder of a workload; raise `UsageError` if it holds something else."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / MARKER
    stats = [Path(path).stat() for path in (workload.docs, workload.queries)]
    files = [[stat.st_size, stat.st_mtime_ns] for stat in stats]
    if marker.is_file():
        known = orjson.loads(marker.read_bytes())
        if known["workload"] != asdict(workload):
            raise UsageError(f"{folder}: holds the indexes of another workload; name a new folder")
        if known["files"] != files:
            raise UsageError(f"{folder}: the vectors have changed since; name a new folder")
        return
    if any(folder.iterdir()):
        raise UsageError(f"{folder}: not empty; name an empty or a new folder for the indexes")
    write_bytes(marker, as_json({"workload": asdict(workload), "files": files}))


def recall_peer(folder: Path, key: dict[str, Any]) -> tuple[BuildRecord, list[Measurement]] | None:
    """Return the cached measurements of the index in `folder`; None, and no folder, without them.

    `key` is all that they depend on, as JSON values.
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
    """Write the measurements beside the index in `folder`."""
    write_bytes(folder / KNOWN, as_json({"key": key, "build": build, "trials": trials}))


def _measurement(figures: dict[str, Any]) -> Measurement:
    times = {name: Percentiles(**figures.pop(name)) for name in ("cpu", "wall")}
    return Measurement(**{**figures, **times, "queries_per_s": {}})
