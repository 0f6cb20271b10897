"""``lsr reindex``: other vectors for the documents of an index."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from lsr.errors import UsageError
from lsr_service.cli import options
from lsr_service.cli.terminal import progress, report_clipped, resumable, write, write_json


def reindex(
    index: options.IndexPath,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="NAME", help="bm25, a model folder or a hub id."),
    ] = None,
    dense: options.DenseModel = None,
    query_encoder: options.QuerySide = None,
    max_length: options.MaxLength = None,
    batch_size: options.BatchSize = None,
    device: options.Device = None,
    top_k: options.TopK = None,
    language: options.Language = None,
    k1: options.K1 = None,
    b: options.B = None,
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
    sparse_only = options.given(
        query_encoder=query_encoder,
        max_length=max_length,
        top_k=top_k,
        language=language,
        k1=k1,
        b=b,
    )
    if encoder is None and sparse_only:
        raise UsageError(
            f"{', '.join(sorted(sparse_only))}: goes with --encoder, which is not given"
        )
    memory_bytes = options.bytes_of(memory)
    encoding = None
    if encoder is not None:
        encoding = options.encoder_of(encoder, batch_size=batch_size, device=device, **sparse_only)
    dense_encoding = options.dense_encoder_of(dense, batch_size=batch_size, device=device)
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
        if json:
            write_json({"path": str(index), "seconds": seconds, **made.stats()._asdict()})
            return
        write(
            f"{index}: {made.n_docs:,} documents, {made.n_terms:,} terms, in {seconds:.1f} s; "
            f"generation {made.generation}"
        )
