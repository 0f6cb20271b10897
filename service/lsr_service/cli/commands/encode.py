"""``lsr encode``: a corpus to sparse vectors in a Parquet file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from typer import Option

from lsr_service.cli import options
from lsr_service.cli.encoder_options import (
    NO_OPTIONS,
    EncoderName,
    EncoderOptions,
    takes_encoder_options,
)
from lsr_service.cli.terminal import progress, report_skipped, resumable, write_result


@takes_encoder_options
def encode(
    source: options.Source,
    output: Annotated[
        Path, Option("--output", "-o", metavar="FILE", help="Parquet file to write.")
    ],
    encoder: EncoderName,
    encoder_options: EncoderOptions = NO_OPTIONS,
    on_error: options.OnError = "fail",
    max_errors: options.MaxErrors = None,
    format: options.CorpusFormat = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace an existing file.")] = False,
    json: options.Json = False,
) -> None:
    """Encode a corpus to sparse vectors, kept with its texts in a Parquet file.

    Stopped with Ctrl-C or killed, the same command goes on where it was.
    """
    from lsr.encoding.vector_file import encode_to_file

    corpus = options.corpus_of(source, format, on_error, max_errors)
    encoding = encoder_options.encoder(encoder)
    started = time.perf_counter()
    with resumable("encoding"), progress() as show:
        written = encode_to_file(corpus, encoding, output, overwrite=overwrite, progress=show)
    seconds = time.perf_counter() - started
    report_skipped(corpus)
    mean = written.n_entries / max(1, written.n_docs)
    figures = {
        "path": str(output),
        "seconds": seconds,
        "skipped": corpus.n_skipped,
        "n_docs": written.n_docs,
        "n_entries": written.n_entries,
        "mean_nnz": mean,
    }
    text = f"{output}: {written.n_docs:,} vectors of {mean:.1f} terms, in {seconds:.1f} s"
    write_result(figures, text, json=json)
