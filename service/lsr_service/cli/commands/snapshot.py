"""``lsr snapshot`` and ``lsr restore``: copy an index while it is in use, and bring it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lsr_service.cli import options
from lsr_service.cli.terminal import write_result


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
    figures = {"path": str(target), "generation": generation}
    write_result(figures, f"{target}: holds generation {generation} of {index}", json=json)


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
    figures = {"path": str(index), "generation": generation}
    text = f"{index}: restored from {snapshot}, generation {generation}"
    write_result(figures, text, json=json)
