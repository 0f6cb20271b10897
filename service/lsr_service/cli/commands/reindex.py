"""``lsr reindex``: other vectors for the documents of an index."""

from __future__ import annotations

import time
from typing import Annotated

from typer import Option

from lsr.errors import UsageError
from lsr_service.cli import options
from lsr_service.cli.encoder_options import (
    NAMES,
    NO_OPTIONS,
    DenseModel,
    EncoderOptions,
    takes_encoder_options,
)
from lsr_service.cli.terminal import counted, progress, report_clipped, resumable, write_result


@takes_encoder_options
def reindex(
    index: options.IndexPath,
    encoder: Annotated[str | None, Option(metavar="NAME", help=f"{NAMES}.")] = None,
    dense: DenseModel = None,
    encoder_options: EncoderOptions = NO_OPTIONS,
    memory: options.Memory = "1G",
    json: options.Json = False,
) -> None:
    """Encode the stored documents of an index anew, with another encoder or to refresh its counts.

    --encoder replaces the sparse vectors, --dense the dense ones, or gives the index some; what is
    not named stays as it is.

    The old vectors answer until the new ones are committed as the next generation; an index that
    was changed meanwhile is left alone. Stopped with Ctrl-C or killed, the same command goes on
    where it was.
    """
    from lsr_index.build.reencode import reindex as run_reindex
    from lsr_index.update.dense_vectors import encode_dense

    if encoder is None and dense is None:
        raise UsageError("name what to encode with: --encoder, --dense or both")
    memory_bytes = options.bytes_of(memory)
    encoding = None
    if encoder is None:
        encoder_options.require_encoder()
    else:
        encoding = encoder_options.encoder(encoder, beside=dense)
    dense_encoding = encoder_options.dense_encoder(dense)
    started = time.perf_counter()
    with resumable("encoding"), progress() as show:
        if encoding is not None:
            made = run_reindex(index, encoding, memory_bytes=memory_bytes, progress=show)
        if dense_encoding is not None:
            if encoding is not None:
                made.close()
            made = encode_dense(index, dense_encoding, memory_bytes=memory_bytes, progress=show)
    seconds = time.perf_counter() - started
    with made:
        report_clipped(made.stats().n_clipped)
        figures = {"path": str(index), "seconds": seconds, **made.stats()._asdict()}
        text = (
            f"{index}: {counted(made.n_docs, 'document')}, {counted(made.n_terms, 'term')}, "
            f"in {seconds:.1f} s; generation {made.generation}"
        )
    write_result(figures, text, json=json)
