"""Text analysis: terms of texts (`Analyzer`) and their frequencies (`TermCounter`)."""

from lsr.analysis.analyzer import Analyzer, language_of, languages
from lsr.analysis.counting import TermCounter

__all__ = ["Analyzer", "TermCounter", "language_of", "languages"]
