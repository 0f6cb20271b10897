"""``lsr restore``: bring back a snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lsr_service.cli import options
from lsr_service.cli.terminal import write, write_json


def restore(
    snapshot: Annotated[Path, Argument(metavar="SNAPSHOT", help="Folder made by lsr snapshot.")],
    index: options.IndexPath,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace an existing index.")] = False,
    json: options.Json = False,
) -> None:
    """Make an index of a snapshot.

    Every file is checked while it is copied; a damaged snapshot changes nothing. With --overwrite
    the index that is there answers until the snapshot has become its next generation.
    """
    from lsr_index.update.snapshot import restore as run_restore

    generation = run_restore(snapshot, index, replace_existing=overwrite)
    if json:
        write_json({"path": str(index), "generation": generation})
    else:
        write(f"{index}: restored from {snapshot}, generation {generation}")
