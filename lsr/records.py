"""Records of the engine: documents, batches of them, and queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.sparse import SparseBatch

Metadata = Mapping[str, Any]
"""Field name to a JSON value."""


class Document(NamedTuple):
    """One unit of retrieval.

    Attributes
    ----------
    id : str
        The user's own id (the docno of TREC): 1 to 512 bytes of UTF-8 without control characters.
    text : str
        The body. May be empty: such a document is stored and never returned by a search.
    title : str
        Empty where the source has none.
    metadata : mapping
        The remaining fields of the source, JSON values only.
    """

    id: str
    text: str
    title: str = ""
    metadata: Metadata = MappingProxyType({})

    @property
    def contents(self) -> str:
        """What an encoder sees: title and text joined by a space, stripped (BEIR's convention)."""
        return f"{self.title} {self.text}".strip()


class Query(NamedTuple):
    """A query (*topic*) with its id (*qid*)."""

    id: str
    text: str


class DocumentBatch(NamedTuple):
    """Documents with their vectors, in order: row `i` of every field belongs to document `i`.

    Attributes
    ----------
    ids : list of str, (n,)
    vectors : SparseBatch
        `n` rows.
    texts, titles : list of str, (n,)
        Empty strings where a source has none.
    metadata : list of mapping, (n,)
        JSON values.
    dense : (n, dimension) float32 or None
        Dense vectors, for an index that has them beside the sparse ones.
    """

    ids: list[str]
    vectors: SparseBatch
    texts: list[str]
    titles: list[str]
    metadata: list[Metadata]
    dense: NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls,
        documents: Sequence[Document],
        vectors: SparseBatch,
        dense: NDArray[np.float32] | None = None,
    ) -> DocumentBatch:
        """Make a batch of documents and their vectors."""
        return cls(
            [document.id for document in documents],
            vectors,
            [document.text for document in documents],
            [document.title for document in documents],
            [document.metadata for document in documents],
            dense,
        )

    @property
    def n_docs(self) -> int:
        """Number of documents."""
        return len(self.ids)

    def documents(self) -> list[Document]:
        """Return the documents without their vectors."""
        return [
            Document(*fields)
            for fields in zip(self.ids, self.texts, self.titles, self.metadata, strict=True)
        ]
