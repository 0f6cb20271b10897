"""The records that travel through the engine: documents and queries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Metadata = Mapping[str, Any]
"""Field name to a JSON value."""


class Document(NamedTuple):
    """One unit of retrieval.

    Attributes
    ----------
    id : str
        The user's own id (*docno*): 1 to 512 bytes of UTF-8 without control characters.
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
