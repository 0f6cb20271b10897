"""The index part of `import lsr`: create, open, search and change an index."""

from lsr_index.api.create import create
from lsr_index.api.runs import Runs
from lsr_index.api.search_index import SearchIndex, open
from lsr_index.api.writer import Writer

__all__ = ["Runs", "SearchIndex", "Writer", "create", "open"]
