"""New vectors for the documents of an index, made from its stored texts by another encoder.

The index serves its old generation until the new one is committed. Like indexing a corpus, an
interrupted call leaves ``<index>.building`` and the same call goes on there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from index.build import build_index
from index.indexing import DEFAULT_MEMORY_BYTES, DEFAULT_SHARD_DOCS, Progress
from index.reader import Index, open_index
from lsr.corpus.base import Corpus, ReadRules, Row
from lsr.encoders.base import Encoder
from lsr.encoding import encode_corpus
from lsr.errors import IndexStateError, UsageError

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
        doc_ids = self._index.select({})
        for start in range(0, len(doc_ids), _READ_DOCS):
            for document in self._index.documents(doc_ids[start : start + _READ_DOCS]):
                yield Row(self._index.path, None, document)

    def _identity(self) -> list[Any]:
        manifest = self._index.manifest
        files = sorted(manifest.files())
        return [manifest.generation, files]


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
        As in `index.indexing.index_corpus`; the layout stays as it is by default.

    Raises
    ------
    UsageError
        There is no document to encode.
    IndexStateError
        The index was changed while its documents were encoded; nothing was replaced.
    IndexLockedError, CorruptIndexError, StorageFullError
    """
    path = Path(path)
    workspace = path.with_name(path.name + ".building")
    with open_index(path) as index:
        if not index.n_docs:
            raise UsageError(f"{path}: there is not one document in it; nothing to encode")
        index.check_checksums()  # damage must not be copied under fresh checksums
        generation, settings = index.generation, index.manifest.settings
        if compact is None:
            compact = bool(settings.get("compact"))
        if reorder is None:
            reorder = settings.get("reorder") == "bisect"
        collection = encode_corpus(
            StoredDocuments(index),
            encoder,
            workspace,
            shard_docs=DEFAULT_SHARD_DOCS,
            progress=progress,
        )
    try:
        made = build_index(
            path,
            collection.batches,
            encoder=collection.encoder.assets(),
            fingerprint=collection.encoder.fingerprint,
            n_terms=collection.encoder.n_terms,
            max_weight=collection.max_weight,
            memory_bytes=memory_bytes,
            reorder=reorder,
            compact=compact,
            replace=True,
            replaces=generation,
            progress=progress,
        )
    except IndexStateError:
        with open_index(path) as index:
            if index.generation != generation:
                shutil.rmtree(workspace)  # these documents are the past; the next call starts over
        raise
    shutil.rmtree(workspace)
    return made
