"""The scores of given documents, exactly as a search would give them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.reader import Index
from index.search import search_segments
from lsr.errors import UsageError
from lsr.sparse import SparseBatch

_WORD = 64


def score_documents(
    index: Index, query: SparseBatch, doc_ids: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the scores of some documents for a query.

    A search that may return these documents and no others: the kernels skip the rest, so that a
    hundred documents cost about as much as the search itself.

    Parameters
    ----------
    index : Index
    query : SparseBatch of one row
    doc_ids : (n,) integers
        Document numbers of this generation, in any order.

    Returns
    -------
    (n,) float64
        0 for a document that shares no term with the query.

    Raises
    ------
    UsageError
        A number is not one of this generation.
    """
    numbers = np.asarray(doc_ids, np.int64)
    scores = np.zeros(len(numbers))
    searchers = [segment.searcher for segment in index.segments]
    bases = np.cumsum([0, *(searcher.n_docs for searcher in searchers)])
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < bases[-1]):
        raise UsageError("a document number is not one of this generation")
    terms, weights = query.row(0)
    if not (len(numbers) and len(terms)):
        return scores
    found = search_segments(
        searchers,
        terms,
        weights,
        len(numbers),
        live=[
            _only(numbers[(numbers >= base) & (numbers < base + s.n_docs)] - base, s.n_docs)
            for base, s in zip(bases, searchers, strict=False)
        ],
        scale=index.manifest.scale,
    )
    order = np.argsort(found.doc_ids)
    if len(order):
        places = np.searchsorted(found.doc_ids[order], numbers)
        places = order[np.minimum(places, len(order) - 1)]
        matched = found.doc_ids[places] == numbers
        scores[matched] = found.float_scores[places[matched]]
    return scores


def _only(documents: NDArray[np.int64], n_docs: int) -> NDArray[np.uint64]:
    """Return the bitmap of some documents of a segment."""
    words = np.zeros((n_docs + _WORD - 1) // _WORD, np.uint64)
    bits = np.left_shift(np.uint64(1), (documents % _WORD).astype(np.uint64))
    np.bitwise_or.at(words, documents // _WORD, bits)
    return words
