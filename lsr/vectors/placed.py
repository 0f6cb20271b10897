"""Checks of rows that come from a file, with the place of the row in every error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.duplicates import SeenIds
from lsr.corpus.limits import document_problem
from lsr.errors import VectorError
from lsr.records import Document
from lsr.sparse import SparseBatch

Place = Callable[[int], str]
"""Position in a batch to the place in the file, for people: ``"docs.parquet: row 12"``."""


def placed_batch(
    lengths: NDArray[np.int64],
    term_ids: NDArray[np.generic],
    weights: NDArray[np.generic],
    place: Place,
) -> SparseBatch:
    """Validate the vectors of a batch; raises VectorError.

    `lengths`, (n_rows,), are the entries of each row; `term_ids`, (nnz,) of any integer type, and
    `weights`, (nnz,) of any numeric type, are those of all rows.
    """
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    try:
        return SparseBatch.from_arrays(indptr, term_ids, weights)
    except VectorError:
        for row in range(len(lengths)):
            low, high = indptr[row], indptr[row + 1]
            try:
                SparseBatch.from_arrays(
                    np.array([0, high - low]), term_ids[low:high], weights[low:high]
                )
            except VectorError as error:
                problem = str(error).removeprefix("row 0, ").removeprefix("row 0: ")
                raise VectorError(f"{place(row)}: {problem}") from error
        raise


def document_error(document: Document, seen: SeenIds, number: int) -> str | None:
    """Return what is wrong with a document, by a limit or a repeated id, or None."""
    problem = document_problem(document)
    if problem is not None:
        return problem
    first = seen.first_line(document.id, number)
    if first is None:
        return None
    return f"the id {document.id!r} is taken by document {first} already; expected it only once"
