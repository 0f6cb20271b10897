"""Documents of several indexes under one numbering.

Within one index a document's number is its key. With several, documents are the same when their ids
are: the keys are the numbers of the first index, and documents that it lacks come after, in the
order of their ids, so that the outcome does not depend on which branch answered first.
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
    """The documents that some searches found.

    Attributes
    ----------
    indexes : sequence of Index, (n_branches,)
    keys : sequence of (n,) int64, (n_branches,)
        Of the hits of each search.
    docnos : list of str
        Of the documents that the first index lacks, rising.
    """

    indexes: Sequence[Index]
    keys: Sequence[NDArray[np.int64]]
    docnos: list[str]

    @property
    def own(self) -> bool:
        """Whether all searches ran on one index: keys are its numbers."""
        return all(index is self.indexes[0] for index in self.indexes)

    def doc_ids(
        self, branch: int, keys: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return documents' numbers in the index of a branch, and whether it has them."""
        if self.indexes[branch] is self.indexes[0]:
            return keys, keys < _BEYOND
        found = [self.indexes[branch].find(docno) for docno in self.ids(keys)]
        known = np.array([doc_id is not None for doc_id in found], np.bool_)
        return np.array([doc_id or 0 for doc_id in found], np.int64), known

    def ids(self, keys: NDArray[np.int64]) -> list[str]:
        """Return documents' own ids."""
        own = iter(self.indexes[0].docnos(keys[keys < _BEYOND]))
        return [
            self.docnos[key - _BEYOND] if key >= _BEYOND else next(own) for key in keys.tolist()
        ]

    def documents(self, keys: NDArray[np.int64]) -> list[Document]:
        """Return documents, each from the first index that has it."""
        if not self.docnos:
            return self.indexes[0].documents(keys)
        own = iter(self.indexes[0].documents(keys[keys < _BEYOND]))
        return [
            self._elsewhere(self.docnos[key - _BEYOND]) if key >= _BEYOND else next(own)
            for key in keys.tolist()
        ]

    def _elsewhere(self, docno: str) -> Document:
        found = (index.document(docno) for index in self.indexes[1:])
        return next(document for document in found if document is not None)


def join(indexes: Sequence[Index], hits: Sequence[Hits]) -> Joined:
    """Put the hits of searches under one numbering.

    Parameters
    ----------
    indexes : sequence of Index
        The one that each search ran on.
    hits : sequence of Hits
    """
    first = indexes[0]
    if all(index is first for index in indexes):
        return Joined(indexes, [each.doc_ids for each in hits], [])
    numbered: list[list[int | str]] = []
    for index, each in zip(indexes, hits, strict=True):
        if index is first:
            numbered.append(each.doc_ids.tolist())
        else:
            places = [(first.find(docno), docno) for docno in each.ids]
            numbered.append([docno if place is None else place for place, docno in places])
    lacking = sorted({key for keys in numbered for key in keys if isinstance(key, str)})
    beyond = {docno: _BEYOND + at for at, docno in enumerate(lacking)}
    keys = [
        np.array([beyond[key] if isinstance(key, str) else key for key in each], np.int64)
        for each in numbered
    ]
    return Joined(indexes, keys, lacking)
