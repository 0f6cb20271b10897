"""``lsr index``: make an index of a corpus."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lsr.models import DEFAULT
from lsr_service.cli import options
from lsr_service.cli.terminal import (
    program,
    progress,
    quoted,
    report_skipped,
    resumable,
    tell,
    write,
    write_json,
)

if TYPE_CHECKING:
    from lsr.corpus import Corpus
    from lsr_index import Index


def index(
    source: options.Source,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="INDEX", help="Folder of the new index.")
    ],
    encoder: options.EncoderName = DEFAULT,
    dense: options.DenseModel = None,
    query_encoder: options.QuerySide = None,
    max_length: options.MaxLength = None,
    batch_size: options.BatchSize = None,
    device: options.Device = None,
    top_k: options.TopK = None,
    language: options.Language = None,
    k1: options.K1 = None,
    b: options.B = None,
    on_error: options.OnErrorOption = options.OnError.FAIL,
    max_errors: options.MaxErrors = None,
    format: options.CorpusFormat = None,
    memory: options.Memory = "1G",
    reorder: Annotated[
        bool | None,
        typer.Option(
            "--reorder/--no-reorder",
            help="Reorder documents so that similar ones are adjacent: slower to build; can make "
            "search faster where the order of the collection is random. Default: no.",
            show_default=False,
        ),
    ] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="A smaller index, with somewhat slower search.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing index.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Make an index of a corpus.

    Stopped with Ctrl-C or killed, the same command goes on where it was.
    """
    from lsr_index.build.index_corpus import index_corpus

    memory_bytes = options.bytes_of(memory)
    corpus = options.corpus_of(source, format, on_error, max_errors)
    encoding = options.encoder_of(
        encoder,
        query_encoder=query_encoder,
        max_length=max_length,
        batch_size=batch_size,
        device=device,
        top_k=top_k,
        language=language,
        k1=k1,
        b=b,
    )
    dense_encoding = options.dense_encoder_of(dense, batch_size=batch_size, device=device)
    started = time.perf_counter()
    with resumable("indexing"), progress() as show:
        made = index_corpus(
            corpus,
            encoding,
            output,
            dense=dense_encoding,
            overwrite=overwrite,
            memory_bytes=memory_bytes,
            reorder=reorder,
            compact=compact,
            progress=show,
        )
    with made:
        _report(made, corpus, output, time.perf_counter() - started, json=json)


def _report(made: Index, corpus: Corpus, output: Path, seconds: float, *, json: bool) -> None:
    report_skipped(corpus)
    if json:
        stats = made.stats()._asdict()
        write_json({"path": str(output), "seconds": seconds, "skipped": corpus.n_skipped, **stats})
    else:
        vectors = "" if made.dense is None else f", {made.dense.n_vectors:,} dense vectors"
        what = f"{made.n_docs:,} documents, {made.n_terms:,} terms{vectors}"
        write(f"{output}: {what}, in {seconds:.1f} s")
        tell(f'search it with: {program()} search {quoted(output)} "your query"')
