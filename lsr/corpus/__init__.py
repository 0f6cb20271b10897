"""Documents and queries from files and collections, as streams that can be read again.

`open_corpus` opens documents, `lsr.corpus.queries` topics. Memory is bounded for any source size.
"""

from lsr.corpus.base import Corpus
from lsr.corpus.limits import Limits, document_problem
from lsr.corpus.opening import FORMATS, open_corpus

__all__ = ["FORMATS", "Corpus", "Limits", "document_problem", "open_corpus"]
