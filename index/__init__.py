"""The index: build it, open it, search it, change it while it is searched.

Vectors and documents in, ranked documents out; no neural networks and no HTTP in here.
docs/index-format.md specifies the files.
"""

from index.build import build_index
from index.hits import Hits, IndexStats
from index.reader import Index, open_index
from index.writer import Commit, IndexWriter

__all__ = ["Commit", "Hits", "Index", "IndexStats", "IndexWriter", "build_index", "open_index"]
