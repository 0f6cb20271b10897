"""The documents that an index stores, as a corpus to be encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from index.reader import Index
from lsr.corpus.base import Corpus, ReadRules, Row

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
