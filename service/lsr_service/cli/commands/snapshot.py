"""``lsr snapshot``: copy an index while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from lsr_service.cli import options
from lsr_service.cli.terminal import write, write_json


def snapshot(
    index: options.IndexPath,
    target: Annotated[
        Path, Argument(metavar="TARGET", help="Folder of the copy; it must not exist.")
    ],
    json: options.Json = False,
) -> None:
    """Copy the newest generation of an index; searches and writers go on.

    Every file is checked while it is copied. The copy is an index: it opens and searches like any
    other, and lsr restore brings it back.
    """
    from lsr_index.update.snapshot import snapshot as run_snapshot

    generation = run_snapshot(index, target)
    if json:
        write_json({"path": str(target), "generation": generation})
    else:
        write(f"{target}: holds generation {generation} of {index}")
