"""New vectors for the documents of an index, made from its stored texts by another encoder.

Dense vectors stay as they are; `lsr_index.update.dense_vectors` replaces those.

The index serves its old generation until the new one is committed. Like indexing a corpus, an
interrupted call leaves ``<index>.building`` and the same call goes on there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from lsr.encoders.base import Encoder
from lsr.progress import Progress
from lsr.records import DocumentBatch
from lsr_index.build.builder import build_index
from lsr_index.build.index_corpus import DEFAULT_MEMORY_BYTES
from lsr_index.build.stored_corpus import encoded_anew
from lsr_index.search.index import Index
from lsr_index.storage.dense_part import DenseSpec


def reindex(
    path: Path | str,
    encoder: Encoder,
    *,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    reorder: bool | None = None,
    compact: bool | None = None,
    progress: Progress | None = None,
) -> Index:
    """Encode the stored documents anew and make that the next generation.

    Parameters
    ----------
    path : path
    encoder : Encoder
        Another one, or a fresh one of the same kind to refresh its statistics.
    memory_bytes, reorder, compact, progress
        As in `lsr_index.build.index_corpus.index_corpus`; the layout stays as it is by default.

    Raises
    ------
    UsageError
        There is no document to encode.
    IndexStateError
        The index was changed while its documents were encoded; nothing was replaced.
    IndexLockedError, CorruptIndexError, StorageFullError
    """
    path = Path(path)
    with encoded_anew(path, encoder, progress=progress) as (index, collection):
        settings = index.manifest.settings
        if compact is None:
            compact = bool(settings.get("compact"))
        if reorder is None:
            reorder = settings.get("reorder") == "bisect"
        return build_index(
            path,
            _with_kept(index, collection.batches),
            encoder=collection.encoder.assets(),
            fingerprint=collection.encoder.fingerprint,
            dense=_kept_spec(index),
            n_terms=collection.encoder.n_terms,
            memory_bytes=memory_bytes,
            reorder=reorder,
            compact=compact,
            replace=True,
            replaces=index.generation,
            progress=progress,
        )


def _kept_spec(index: Index) -> DenseSpec | None:
    """Return what asks for the dense vectors that an index has."""
    if index.dense is None:
        return None
    part = index.dense.part
    return DenseSpec(
        part.dimension,
        part.similarity,
        index.dense.encoder_assets,
        part.fingerprint,
        part.flat_below,
        part.settings.get("n_lists"),
    )


def _with_kept(
    index: Index, batches: Callable[[], Iterator[DocumentBatch]]
) -> Callable[[], Iterator[DocumentBatch]]:
    """Give batches of all documents of an index, in its order, the dense vectors it has."""

    def stream() -> Iterator[DocumentBatch]:
        ordinals, first = index.select({}), 0
        for batch in batches():
            own = ordinals[first : first + batch.n_docs]
            first += batch.n_docs
            yield batch._replace(dense=index.require_dense().vectors(own))

    return stream if index.dense else batches
