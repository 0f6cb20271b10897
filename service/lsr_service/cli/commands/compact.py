"""``lsr compact``: one segment without what was deleted."""

from __future__ import annotations

import time
from typing import Annotated

from typer import Option

from lsr_service.cli import options
from lsr_service.cli.terminal import counted, progress, resumable, write_result


def compact(
    index: options.IndexPath,
    reorder: Annotated[
        bool | None,
        Option(
            "--reorder/--no-reorder",
            help="Reorder documents so that similar ones are adjacent. Default: as the index was "
            "made.",
            show_default=False,
        ),
    ] = None,
    memory: options.Memory = "1G",
    json: options.Json = False,
) -> None:
    """Merge an index into one segment and drop deleted documents: smaller, faster to search.

    The index answers searches meanwhile. Stopped or killed, it stays as it was.
    """
    from lsr_index.update.writer import IndexWriter

    started = time.perf_counter()
    with IndexWriter(index, memory_bytes=options.bytes_of(memory)) as writer:
        with resumable("compacting", resumes=False), progress() as show:
            changed = writer.compact(reorder=reorder, progress=show)
        with writer.snapshot() as made:
            stats = made.stats()
    seconds = time.perf_counter() - started
    figures = {"path": str(index), "seconds": seconds, "changed": changed, **stats._asdict()}
    what = f"compacted in {seconds:.1f} s" if changed else "nothing to do"
    text = (
        f"{index}: {what}; {counted(stats.n_docs, 'document')} in {options.size(stats.n_bytes)}, "
        f"generation {stats.generation}"
    )
    write_result(figures, text, json=json)
