"""``lsr attach``: dense vectors made elsewhere, for the documents of an index."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from lsr_service.cli import options
from lsr_service.cli.encoder_options import NO_OPTIONS, DenseModel
from lsr_service.cli.terminal import progress, resumable, write_result


def attach(
    index: options.IndexPath,
    vectors: Annotated[
        Path, Argument(metavar="VECTORS", help="A .npy file, or a faiss index file.")
    ],
    ids: Annotated[
        Path,
        Option(metavar="FILE", help="Text file with the document id of each vector, one a line."),
    ],
    dense: DenseModel = None,
    similarity: Annotated[
        Literal["cosine", "dot"] | None,
        Option(help="How vectors are compared. Default: cosine where all have length 1, else dot."),
    ] = None,
    memory: options.Memory = "1G",
    json: options.Json = False,
) -> None:
    """Give an index dense vectors that were made elsewhere.

    They are copied into the index. Name the model that made them with --dense, so that the index
    can encode queries; without it, it is searched by vector only.
    """
    from lsr_index.update.dense_vectors import attach_vectors

    started = time.perf_counter()
    with resumable("attaching", resumes=False), progress() as show:
        made, n_left = attach_vectors(
            index,
            vectors,
            ids,
            similarity=similarity,
            encoder=NO_OPTIONS.dense_encoder(dense),
            memory_bytes=options.bytes_of(memory),
            progress=show,
        )
    seconds = time.perf_counter() - started
    with made:
        part = made.require_dense()
        figures = {
            "path": str(index),
            "seconds": seconds,
            "n_vectors": part.n_vectors,
            "dimension": part.dimension,
            "similarity": part.similarity,
            "left_out": n_left,
            "generation": made.generation,
        }
        left = f"; {n_left:,} belong to no document and were left out" if n_left else ""
        text = (
            f"{index}: {part.n_vectors:,} vectors of {part.dimension} numbers, compared by "
            f"{part.similarity}{left}; generation {made.generation}, in {seconds:.1f} s"
        )
    write_result(figures, text, json=json)
