"""The documents that an index stores, as a corpus to be encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lsr.corpus.base import Corpus, ReadRules, Row
from lsr.encoders.base import Encoder
from lsr.encoders.dense.base import DenseEncoder
from lsr.encoding import EncodedCollection, encode_corpus, remove_job
from lsr.errors import IndexStateError, UsageError
from lsr.progress import Progress
from lsr_index.build.index_corpus import DEFAULT_SHARD_DOCS
from lsr_index.search.index import Index, open_index

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
    """Encode the stored documents of an index, for whoever puts the vectors into it.

    An interrupted call leaves ``<path>.building``; the same call again goes on there. It is removed
    when the block has ended well, or found that the index is another one by now: then these
    documents are the past, and the next call starts over.

    Yields
    ------
    Index
        What was encoded.
    EncodedCollection

    Raises
    ------
    UsageError
        There is no document to encode.
    CorruptIndexError
        The index is damaged; what is damaged must not be copied under fresh checksums.
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
