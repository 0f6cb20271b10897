"""The index: build it, open it, search it, change it while it is searched.

Vectors and documents in, ranked documents out; no neural networks and no HTTP in here.
docs/index-format.md specifies the files. Names are imported when they are first used, so that a
search does not load what builds and changes indexes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsr_index.build.builder import build_index
    from lsr_index.search.hits import Hits, IndexStats
    from lsr_index.search.index import Index, open_index
    from lsr_index.update.writer import Commit, IndexWriter

__all__ = ["Commit", "Hits", "Index", "IndexStats", "IndexWriter", "build_index", "open_index"]

_MODULES = {
    "Commit": "update.writer",
    "Hits": "search.hits",
    "Index": "search.index",
    "IndexStats": "search.hits",
    "IndexWriter": "update.writer",
    "build_index": "build.builder",
    "open_index": "search.index",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
