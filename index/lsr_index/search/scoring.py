"""The scores of given documents, exactly as a search would give them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr.sparse import SparseBatch
from lsr_index.kernels.accumulator import width_for
from lsr_index.kernels.score.score_docs import score_documents as score_documents_kernel
from lsr_index.search.index import Index
from lsr_index.search.inputs import document_numbers
from lsr_index.segment.quantize import quantize_query


def score_documents(
    index: Index, query: SparseBatch, ordinals: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the scores of some documents for a query.

    Each document is looked up in the list of each term, which for a hundred costs a fraction of a
    search.

    Parameters
    ----------
    index : Index
    query : SparseBatch of one row
    ordinals : (n,) integers
        Document numbers of this generation, in any order; deleted ones too.

    Returns
    -------
    (n,) float64
        To the last bit those of a search; 0 for a document that shares no term with the query.

    Raises
    ------
    UsageError
        A number is not one of this generation.
    """
    segments = index.snapshot.segments
    numbers = document_numbers(ordinals, segments.n_docs)
    terms, weights = query.row(0)
    width = width_for(len(terms))
    ints, query_scale = quantize_query(weights, width)
    scores = np.zeros(len(numbers), np.int64)
    maps = segments.slot_maps  # held until the kernel is done with the addresses in it
    score_documents_kernel(
        segments.table,
        maps.table,
        segments.bases,
        terms.astype(np.int64),
        ints.astype(np.int64),
        np.uint32(width.shift),
        numbers,
        scores,
    )
    return scores.astype(np.float64) * (index.manifest.scale * query_scale)
