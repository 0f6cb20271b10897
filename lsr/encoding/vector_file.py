"""From a corpus to one Parquet file of vectors: encode into shards, then join them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lsr.corpus import Corpus
from lsr.encoders.base import Encoder
from lsr.encoding import encode_corpus, remove_job
from lsr.errors import IndexExistsError, UsageError
from lsr.progress import Progress
from lsr.records import DocumentBatch
from lsr.vectors import write_parquet


class Written(NamedTuple):
    n_docs: int
    n_entries: int


def encode_to_file(
    corpus: Corpus,
    encoder: Encoder,
    path: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Encode a corpus into a Parquet file, which appears whole or not at all.

    An interrupted call leaves ``<path>.building``; the same call again continues there. Raises
    IndexExistsError for an existing file without `overwrite`, UsageError for a missing folder.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is no folder; make it, or choose another place")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as vectors.parquet")
    if path.exists() and not overwrite:
        raise IndexExistsError(
            f"{path} exists already; choose another place, or replace it with overwrite=True"
        )
    workspace = path.with_name(path.name + ".building")
    collection = encode_corpus(corpus, encoder, workspace, restart=overwrite, progress=progress)
    counts = [0, 0]

    def batches() -> Iterator[DocumentBatch]:
        for batch in collection.batches():
            counts[0] += batch.n_docs
            counts[1] += batch.vectors.nnz
            if progress is not None:
                progress("write", counts[0], collection.n_docs)
            yield batch

    write_parquet(path, batches())
    remove_job(workspace)
    return Written(counts[0], counts[1])
