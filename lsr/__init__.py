"""Learned sparse retrieval: records, sparse vectors, vocabularies, corpora and encoders.

The bottom layer. It knows no index, no evaluation and no service, and importing it loads neither
torch nor transformers: those are imported inside the neural encoder modules, when one is used.
"""

from lsr.errors import LsrError
from lsr.records import Document, Query
from lsr.sparse import SparseBatch

__version__ = "0.1.0"

__all__ = ["Document", "LsrError", "Query", "SparseBatch", "__version__"]
