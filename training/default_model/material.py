"""Everything that steps look up, made of the pool: pieces, BM25, embeddings, candidates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.analysis import Analyzer
from lsr.encoders.idf import inverse_document_frequency
from lsr.encoders.word_pieces import WordPieces
from training.default_model.candidates import lexical_vectors, mine_dense, mine_lexical
from training.default_model.learning import Material
from training.default_model.pool import Pool
from training.default_model.teacher import embed

TRAINING_LENGTH = 128
"""Pieces of a document that training looks at; the exported model takes more."""


def make_material(
    pool: Pool, tokenizer: str, teacher: Path, folder: Path, report: Callable[[str], None]
) -> tuple[Material, list[NDArray[np.int32]]]:
    """Return what training needs, and the best documents of each miner.

    Parameters
    ----------
    pool : Pool
    tokenizer : str
        In the format of the tokenizers library.
    teacher : Path
        Folder of the dense teacher.
    folder : Path
        Keeps what is expensive to make, so that a run goes on where it stopped.
    """
    pieces = WordPieces(tokenizer, max_length=TRAINING_LENGTH)
    specials = set(pieces.special_ids.tolist())
    documents = pieces.encode(pool.documents)
    counts = pieces.count(pool.documents, documents)
    queries = [
        np.array(sorted(set(row.tolist()) - specials), np.int64)
        for row in pieces.encode(pool.queries)
    ]
    report("BM25 of the pool")
    lexical = lexical_vectors(pool.documents, pool.queries)
    by_bm25 = mine_lexical(pool.documents, pool.queries, folder)
    dense_queries = embed(
        teacher, pool.queries, folder / "queries", lambda n, of: report(f"teacher: query {n}/{of}")
    )
    dense_documents = embed(
        teacher, pool.documents, folder / "documents", lambda n, of: report(f"teacher: {n}/{of}")
    )
    by_teacher = mine_dense(dense_documents, dense_queries, folder)
    material = Material(
        queries,
        documents,
        inverse_document_frequency(counts, pieces.n_terms),
        lexical.queries,
        lexical.documents,
        dense_queries,
        dense_documents,
        allowed_terms(pieces),
    )
    return material, [by_teacher, by_bm25]


def allowed_terms(pieces: WordPieces) -> NDArray[np.int64]:
    """Return the terms that may be active: no stop words, punctuation or single characters.

    Their posting lists would be the longest, and BM25 knows better what to make of them.
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
