"""Indexing a corpus, or a file of vectors.

Two stages, so that the expensive one resumes. Encoding writes shards into ``<index>.building`` and
continues there after an interruption; building reads the shards and makes the index appear at its
path in one step, after which the shards are removed.
"""

from __future__ import annotations

from pathlib import Path

from lsr.corpus import Corpus
from lsr.encoders.base import Encoder
from lsr.encoders.dense.base import DenseEncoder
from lsr.encoders.precomputed import PrecomputedEncoder
from lsr.encoding import encode_corpus, remove_job
from lsr.errors import CorpusError, IndexExistsError, UsageError, VectorError
from lsr.progress import Progress
from lsr.vectors import AnseriniVectors, ParquetVectors, read_anserini, read_parquet
from lsr.vocabulary import Vocabulary
from lsr_index.build.builder import build_index
from lsr_index.search.index import Index, open_index
from lsr_index.segment.geometry import DEFAULT_MEMORY_BYTES
from lsr_index.storage.dense_part import DenseSpec

DEFAULT_SHARD_DOCS = 1024
"""What an interruption can cost: seconds of a neural encoder on a CPU."""


def index_corpus(
    corpus: Corpus,
    encoder: Encoder,
    path: Path | str,
    *,
    dense: DenseEncoder | None = None,
    overwrite: bool = False,
    shard_docs: int = DEFAULT_SHARD_DOCS,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    reorder: bool | None = None,
    compact: bool = False,
    progress: Progress | None = None,
) -> Index:
    """Encode a corpus and build an index of it, with dense vectors if `dense` is given.

    An interrupted call leaves ``<path>.building``; the same call again continues there and makes
    the same index, byte for byte. Other parameters are those of
    `lsr_index.build.builder.build_index`.

    Parameters
    ----------
    path : path
        Where the index will be. Its folder must exist.
    overwrite : bool
        Replace an index that is already there. It serves until the new one is committed. An
        interrupted job that began with another corpus or encoder is started over.
    shard_docs : int
        Documents per shard: the unit of resuming.

    Raises
    ------
    IndexExistsError
        Something is at `path` and `overwrite` is off, or it is not an index.
    CorpusError
        The corpus is malformed or holds no document.
    StorageFullError
        No room is left; run again when there is.
    """
    path = Path(path)
    check_target(path, overwrite)
    workspace = path.with_name(path.name + ".building")
    collection = encode_corpus(
        corpus,
        encoder,
        workspace,
        dense=dense,
        shard_docs=shard_docs,
        restart=overwrite,
        progress=progress,
    )
    if collection.n_docs == 0:
        remove_job(workspace)
        raise CorpusError("there is not one document in it; nothing to index", corpus.name)
    index = build_index(
        path,
        collection.batches,
        encoder=collection.encoder.assets(),
        fingerprint=collection.encoder.fingerprint,
        dense=None if dense is None else DenseSpec.of(dense),
        n_terms=collection.encoder.n_terms,
        memory_bytes=memory_bytes,
        reorder=reorder,
        compact=compact,
        replace=overwrite,
        progress=progress,
    )
    remove_job(workspace)
    return index


def index_vectors(
    source: Path | str,
    path: Path | str,
    *,
    vocabulary: Vocabulary | None = None,
    overwrite: bool = False,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    reorder: bool | None = None,
    compact: bool = False,
    progress: Progress | None = None,
) -> Index:
    """Build an index of a file of vectors made elsewhere; other parameters as in `index_corpus`.

    `source` is Parquet (``id, indices, values``) or Anserini JSON lines (``id, vector``).
    `vocabulary` names the terms: Anserini vectors bring their own, and ids of Parquet vectors are
    shown as numbers without one. Raises VectorError for a malformed file, with the row or line,
    CorpusError for one without vectors.
    """
    source, path = Path(source), Path(path)
    check_target(path, overwrite)
    batches: ParquetVectors | AnseriniVectors
    if source.suffix == ".parquet":
        batches = read_parquet(source)
    else:
        batches = read_anserini(source, vocabulary=vocabulary, fixed=vocabulary is not None)
    n_docs, n_terms = 0, 0
    for batch in batches:
        n_docs += batch.n_docs
        if batch.vectors.nnz:
            n_terms = max(n_terms, int(batch.vectors.indices.max()) + 1)
        if progress is not None:
            progress("check", n_docs, None)
    if n_docs == 0:
        raise CorpusError("there is not one vector in it; nothing to index", source)
    if isinstance(batches, AnseriniVectors):
        vocabulary = batches.vocabulary
    if vocabulary is not None:
        if len(vocabulary) < n_terms:
            raise VectorError(
                f"{source}: term id {n_terms - 1} is outside of the vocabulary, which has "
                f"{len(vocabulary)} terms; these vectors come from another encoder"
            )
        n_terms = len(vocabulary)
    encoder = PrecomputedEncoder(vocabulary)
    return build_index(
        path,
        batches,
        encoder=encoder.assets(),
        fingerprint=encoder.fingerprint,
        n_terms=n_terms,
        memory_bytes=memory_bytes,
        reorder=reorder,
        compact=compact,
        replace=overwrite,
        progress=progress,
    )


def check_target(path: Path, overwrite: bool) -> None:
    """Raise UsageError or IndexExistsError unless an index may be made at a path."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is no folder; make it, or choose another place")
    if not path.exists():
        return
    if not overwrite:
        raise IndexExistsError(
            f"{path} exists already; choose another place, or replace it with overwrite=True"
        )
    open_index(path).close()  # refuses to replace what is no index
