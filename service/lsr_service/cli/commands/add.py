"""``lsr add``: put documents into an index that exists."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from typer import Option

from lsr_service.cli import options
from lsr_service.cli.terminal import (
    counted,
    progress,
    report_clipped,
    report_skipped,
    resumable,
    write_result,
)

if TYPE_CHECKING:
    from lsr.records import Document


def add(
    index: options.IndexPath,
    source: options.Source,
    commit_every: Annotated[
        int | None,
        Option(
            min=1,
            metavar="N",
            help="Commit after every N documents: they are then searchable and safe. Default: one "
            "commit at the end.",
        ),
    ] = None,
    on_error: options.OnError = "fail",
    max_errors: options.MaxErrors = None,
    format: options.CorpusFormat = None,
    memory: options.Memory = "256M",
    json: options.Json = False,
) -> None:
    """Add documents to an index; one whose id is there already is replaced.

    Of a file that is cut into passages, all passages are replaced, and those that it no longer has
    are deleted. Passages of deleted files stay.

    The index encodes them as it was made, and answers searches meanwhile. Stopped or killed, it
    holds what was committed; the same command can be run again. Documents stay in memory until
    their commit: give --commit-every for many.
    """
    from lsr.corpus.passages import with_shrunk_sources
    from lsr_index.update.text_writer import IndexUpdater

    corpus = options.corpus_of(source, format, on_error, max_errors)
    memory_bytes = options.bytes_of(memory)
    started = time.perf_counter()
    n_read = n_gone = n_clipped = n_dropped = n_shrunk = 0
    with IndexUpdater(index, memory_bytes=memory_bytes) as updater:

        def drop(doc_id: str) -> bool:
            nonlocal n_shrunk
            n_deleted = updater.delete([doc_id])
            n_shrunk += n_deleted
            return bool(n_deleted)

        documents = with_shrunk_sources(corpus, drop) if corpus.kind == "folder" else corpus
        with resumable("adding", resumes=False), progress() as show:
            total = corpus.count_hint()
            for part in _parts(documents, commit_every):
                before = n_read

                def report(stage: str, done: int, _: int | None, before: int = before) -> None:
                    show(stage, before + done, total)

                n_read += updater.add(part, report)
                done = updater.commit()
                n_gone += done.n_deleted
                n_clipped, n_dropped = n_clipped + done.n_clipped, n_dropped + done.n_dropped
                while updater.merge(progress=show):
                    pass
            done = updater.commit()  # what is deleted after the last document of a part
            n_gone += done.n_deleted
        seconds = time.perf_counter() - started
        report_skipped(corpus)
        report_clipped(n_clipped)
    n_replaced = n_gone - n_shrunk
    replaced = f", {n_replaced:,} of them replaced others" if n_replaced > 0 else ""
    if n_shrunk:
        replaced += f", {counted(n_shrunk, 'passage')} removed, of shorter versions of files"
    figures = {
        "path": str(index),
        "seconds": seconds,
        "skipped": corpus.n_skipped,
        "read": n_read,
        "replaced": n_replaced,
        "removed": n_shrunk,
        "n_docs": done.n_docs,
        "generation": done.generation,
        "n_clipped": n_clipped,
        "n_dropped": n_dropped,
    }
    text = (
        f"{index}: {counted(n_read, 'document')} added{replaced}; "
        f"{counted(done.n_docs, 'document')} in generation {done.generation}, in {seconds:.1f} s"
    )
    write_result(figures, text, json=json)


def _parts(documents: Iterable[Document], size: int | None) -> Iterator[Iterable[Document]]:
    """Split a stream; a corpus without a document raises, so that there is a first part."""
    if size is None:
        yield documents
        return
    stream = iter(documents)
    while part := list(islice(stream, size)):
        yield part
