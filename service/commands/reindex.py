"""``lsr reindex``: other vectors for the documents of an index."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from service import options
from service.terminal import progress, resumable, write, write_json


def reindex(
    index: options.IndexPath,
    encoder: options.EncoderName,
    query_encoder: options.QuerySide = None,
    max_length: options.MaxLength = None,
    batch_size: options.BatchSize = None,
    device: options.Device = None,
    top_k: options.TopK = None,
    language: options.Language = None,
    k1: options.K1 = None,
    b: options.B = None,
    memory: Annotated[
        str, typer.Option("--memory", help="Bound on the working memory of the build.")
    ] = "1G",
    json: options.Json = False,
) -> None:
    """Encode the stored documents of an index anew, with another encoder or to refresh its counts.

    The old vectors answer until the new ones are committed as the next generation; an index that
    was changed meanwhile is left alone. Stopped with Ctrl-C or killed, the same command goes on
    where it was.
    """
    from index.reindexing import reindex as run_reindex

    memory_bytes = options.bytes_of(memory)
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
    started = time.perf_counter()
    with resumable("encoding"), progress() as show:
        made = run_reindex(index, encoding, memory_bytes=memory_bytes, progress=show)
    seconds = time.perf_counter() - started
    with made:
        if json:
            write_json({"path": str(index), "seconds": seconds, **made.stats()._asdict()})
            return
        write(
            f"{index}: {made.n_docs:,} documents, {made.n_terms:,} terms, in {seconds:.1f} s; "
            f"generation {made.generation}"
        )
