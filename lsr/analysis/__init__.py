"""Text analysis: from text to the terms of a lexical index.

`segmentation` cuts text into normalised words, `stopwords` holds the words that carry no topic,
`Analyzer` turns words into terms, `TermCounter` counts terms of many texts fast.
"""

from lsr.analysis.analyzer import Analyzer, language_of, languages
from lsr.analysis.counting import TermCounter

__all__ = ["Analyzer", "TermCounter", "language_of", "languages"]
