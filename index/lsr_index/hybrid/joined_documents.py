"""Documents of several indexes under one numbering.

In one index the ordinal is the key. In several, documents with the same id are the same: the keys
are the ordinals of the first index, and documents that it lacks come after, in the order of their
ids, so that the result does not depend on the order of the branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.records import Document
from lsr_index.search.hits import Hits
from lsr_index.search.index import Index

_BEYOND = 1 << 40
"""Keys of documents that the first index lacks; an index holds fewer documents."""


class Joined(NamedTuple):
    """The documents of several searches, one for each branch."""

    indexes: Sequence[Index]
    keys: Sequence[NDArray[np.int64]]  # (n,): those of the hits of each search
    doc_ids: list[str]  # of the documents that the first index lacks, ascending

    @property
    def own(self) -> bool:
        """Whether all searches ran on one index, whose ordinals are the keys."""
        return all(index is self.indexes[0] for index in self.indexes)

    def ordinals(
        self, branch: int, keys: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the ordinals of documents in the index of a branch, and whether it has them."""
        if self.indexes[branch] is self.indexes[0]:
            return keys, keys < _BEYOND
        found = [self.indexes[branch].find(doc_id) for doc_id in self.ids(keys)]
        known = np.array([ordinal is not None for ordinal in found], np.bool_)
        return np.array([ordinal or 0 for ordinal in found], np.int64), known

    def ids(self, keys: NDArray[np.int64]) -> list[str]:
        """Return the ids of documents."""
        own = iter(self.indexes[0].doc_ids(keys[keys < _BEYOND]))
        return [
            self.doc_ids[key - _BEYOND] if key >= _BEYOND else next(own) for key in keys.tolist()
        ]

    def documents(self, keys: NDArray[np.int64]) -> list[Document]:
        """Return documents, each from the first index that has it."""
        if not self.doc_ids:
            return self.indexes[0].documents(keys)
        own = iter(self.indexes[0].documents(keys[keys < _BEYOND]))
        return [
            self._elsewhere(self.doc_ids[key - _BEYOND]) if key >= _BEYOND else next(own)
            for key in keys.tolist()
        ]

    def _elsewhere(self, doc_id: str) -> Document:
        found = (index.document(doc_id) for index in self.indexes[1:])
        return next(document for document in found if document is not None)


def join(indexes: Sequence[Index], hits: Sequence[Hits]) -> Joined:
    """Return the hits of searches, each of one of `indexes`, under one numbering."""
    first = indexes[0]
    if all(index is first for index in indexes):
        return Joined(indexes, [each.ordinals for each in hits], [])
    numbered: list[list[int | str]] = []
    for index, each in zip(indexes, hits, strict=True):
        if index is first:
            numbered.append(each.ordinals.tolist())
        else:
            places = [(first.find(doc_id), doc_id) for doc_id in each.ids]
            numbered.append([doc_id if place is None else place for place, doc_id in places])
    lacking = sorted({key for keys in numbered for key in keys if isinstance(key, str)})
    beyond = {doc_id: _BEYOND + at for at, doc_id in enumerate(lacking)}
    keys = [
        np.array([beyond[key] if isinstance(key, str) else key for key in each], np.int64)
        for each in numbered
    ]
    return Joined(indexes, keys, lacking)
