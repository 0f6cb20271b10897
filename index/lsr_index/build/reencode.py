"""New vectors for the documents of an index, encoded from its stored texts.

The index serves its old generation until the new one is committed. An interrupted call leaves
``<index>.building`` and the same call continues there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsr.corpus.base import Corpus, ReadRules, Row
from lsr.encoders.base import Encoder
from lsr.encoders.dense.base import DenseEncoder
from lsr.encoding import EncodedCollection, encode_corpus, remove_job
from lsr.errors import IndexStateError, UsageError
from lsr.progress import Progress
from lsr.records import DocumentBatch
from lsr_index.build.builder import build_index
from lsr_index.build.index_corpus import DEFAULT_SHARD_DOCS
from lsr_index.search.index import Index, open_index
from lsr_index.segment.geometry import DEFAULT_MEMORY_BYTES
from lsr_index.storage.dense_part import DenseSpec

_READ_DOCS = 1024


class StoredDocuments(Corpus):
    """The live documents of one generation of an index, in their order, as a corpus."""

    kind = "index"

    def __init__(self, index: Index) -> None:
        super().__init__(index.path.name, ReadRules())
        self._index = index

    def count_hint(self) -> int:
        """Return how many there are."""
        return self._index.n_docs

    def _rows(self) -> Iterator[Row]:
        ordinals = self._index.select({})
        for start in range(0, len(ordinals), _READ_DOCS):
            for document in self._index.documents(ordinals[start : start + _READ_DOCS]):
                yield Row(self._index.path, None, document)

    def _identity(self) -> list[Any]:
        manifest = self._index.manifest
        files = sorted(manifest.files())
        return [manifest.generation, files]


@contextmanager
def encoded_anew(
    path: Path,
    encoder: Encoder,
    *,
    dense: DenseEncoder | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Index, EncodedCollection]]:
    """Encode the stored documents of an index; yields the index, and its encoded documents.

    An interrupted call leaves ``<path>.building``; the same call again continues there. It is
    removed when the block ends well, or raises IndexStateError because the index has changed: then
    the next call starts over. Raises UsageError for an index without documents, CorruptIndexError
    for a damaged one.
    """
    workspace = path.with_name(path.name + ".building")
    with open_index(path) as index:
        if not index.n_docs:
            raise UsageError(f"{path}: there is not one document in it; nothing to encode")
        index.check_checksums()
        collection = encode_corpus(
            StoredDocuments(index),
            encoder,
            workspace,
            dense=dense,
            shard_docs=DEFAULT_SHARD_DOCS,
            progress=progress,
        )
        try:
            yield index, collection
        except IndexStateError:
            with open_index(path) as now:
                if now.generation != index.generation:
                    remove_job(workspace)
            raise
    remove_job(workspace)


def reindex(
    path: Path | str,
    encoder: Encoder,
    *,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    reorder: bool | None = None,
    compact: bool | None = None,
    progress: Progress | None = None,
) -> Index:
    """Encode the stored documents anew and make that the next generation; see `index_corpus`.

    `encoder` is another one, or a fresh one of the same kind to refresh its statistics. The layout
    stays as it is by default. Dense vectors stay; `lsr_index.update.dense_vectors` replaces those.
    Raises UsageError where there is no document, IndexStateError where the index was changed
    meanwhile (nothing was replaced), IndexLockedError, CorruptIndexError, StorageFullError.
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
    """Return the specification of the dense vectors that an index has."""
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
    """Add the dense vectors of an index to batches of all its documents in order."""

    def stream() -> Iterator[DocumentBatch]:
        ordinals, first = index.select({}), 0
        for batch in batches():
            own = ordinals[first : first + batch.n_docs]
            first += batch.n_docs
            yield batch._replace(dense=index.require_dense().vectors(own))

    return stream if index.dense else batches
