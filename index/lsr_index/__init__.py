"""The index: build it, open it, search it, change it while it is searched.

Vectors and documents in, ranked documents out; no neural networks and no HTTP in here.
docs/index-format.md specifies the files.
"""

from lsr_index.build.builder import build_index
from lsr_index.search.hits import Hits, IndexStats
from lsr_index.search.index import Index, open_index
from lsr_index.update.writer import Commit, IndexWriter

__all__ = ["Commit", "Hits", "Index", "IndexStats", "IndexWriter", "build_index", "open_index"]
