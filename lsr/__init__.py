"""Learned sparse retrieval: make an index, search it, change it, measure it, train encoders.

::

    import lsr

    index = lsr.create("notes.index", "notes/")
    for hit in index.search("bitter tea", k=10):
        print(hit.rank, hit.id, hit.score, hit.title)

Names are resolved when they are first used: ``import lsr`` loads nothing heavy. The packages behind
them (`lsr_index`, `lsr_eval`, `lsr_training`, `lsr_service`) are public too, for those who want
parts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsr.errors import LsrError
    from lsr.records import Document, Query
    from lsr.sparse import SparseBatch
    from lsr.text_encoder import TextEncoder, encoder
    from lsr_eval.front import evaluate
    from lsr_index.api import Runs, SearchIndex, Writer, create, open
    from lsr_index.hybrid.results import Hit, SearchResults
    from lsr_training.front import train

__version__ = "0.1.0"

__all__ = [
    "Document",
    "Hit",
    "LsrError",
    "Query",
    "Runs",
    "SearchIndex",
    "SearchResults",
    "SparseBatch",
    "TextEncoder",
    "Writer",
    "__version__",
    "create",
    "encoder",
    "evaluate",
    "open",
    "train",
]

_MODULES = {
    "Document": "lsr.records",
    "Hit": "lsr_index.hybrid.results",
    "LsrError": "lsr.errors",
    "Query": "lsr.records",
    "Runs": "lsr_index.api",
    "SearchIndex": "lsr_index.api",
    "SearchResults": "lsr_index.hybrid.results",
    "SparseBatch": "lsr.sparse",
    "TextEncoder": "lsr.text_encoder",
    "Writer": "lsr_index.api",
    "create": "lsr_index.api",
    "encoder": "lsr.text_encoder",
    "evaluate": "lsr_eval.front",
    "open": "lsr_index.api",
    "train": "lsr_training.front",
}
"""Where each name is defined."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'lsr' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
