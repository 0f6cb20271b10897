"""Terms of the default model: the word pieces that may be active."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr.analysis import Analyzer
from lsr.encoders.neural.word_pieces import WordPieces


def allowed_terms(pieces: WordPieces) -> NDArray[np.int64]:
    """Return the terms that may be active: no stop words, punctuation or single characters.

    Their posting lists would be the longest, and the BM25 half weights them better.
    """
    analyzer = Analyzer()
    specials = set(pieces.special_ids.tolist())
    kept = []
    for term_id in range(pieces.n_terms):
        term = pieces.term(term_id)
        letters = term.removeprefix("##")
        if term_id in specials or not (letters.isascii() and letters.isalnum()):
            continue
        if len(letters) == 1 or (letters == term and not analyzer.terms(term)):
            continue
        kept.append(term_id)
    return np.array(kept, np.int64)
