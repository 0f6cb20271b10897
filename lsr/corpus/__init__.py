"""Documents and queries from files and collections, as streams that can be read again.

`open_corpus` finds the reader for a source; `lsr.corpus.queries` reads topics. Readers hold one
line or one batch of rows in memory, whatever the size of the source.
"""

from lsr.corpus.base import Corpus
from lsr.corpus.limits import Limits, document_problem
from lsr.corpus.opening import FORMATS, open_corpus

__all__ = ["FORMATS", "Corpus", "Limits", "document_problem", "open_corpus"]
