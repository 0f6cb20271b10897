"""``lsr delete``: take documents out of an index."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lsr.errors import UsageError
from lsr_service.cli import options
from lsr_service.cli.terminal import write, write_json


def delete(
    index: options.IndexPath,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of documents.")
    ] = None,
    ids_from: Annotated[
        Path | None,
        typer.Option("--ids-from", metavar="FILE", help="File with an id a line; - reads them."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="FILTER", help="All that pass this filter, as JSON."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Delete documents by id or by filter, all in one commit.

    An id that is not there is no error. The room is free once segments are merged; lsr compact
    does that at once.
    """
    from lsr_index.update.writer import IndexWriter

    if not (ids or ids_from or where):
        raise UsageError("say which documents: give IDs, --ids-from or --where")
    filter = None if where is None else options.filter_of(where)
    if filter == {}:
        raise UsageError("--where {} would delete every document; remove the folder for that")
    wanted = [*(ids or ()), *_ids_of(ids_from)]
    with IndexWriter(index) as writer:
        n_deleted = writer.delete(wanted)
        if filter is not None:
            n_deleted += writer.delete_where(filter)
        if n_deleted == 0:
            writer.rollback()
        done = writer.commit()
    if json:
        write_json({"path": str(index), "deleted": n_deleted, **done._asdict()})
        return
    write(
        f"{index}: {n_deleted:,} documents deleted, {done.n_docs:,} left in generation "
        f"{done.generation}"
    )


def _ids_of(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: is not UTF-8 ({error.reason} at {error.start})") from None
    return [line for line in text.split("\n") if line]
