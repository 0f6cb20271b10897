"""`QueryParts`: a query as text, sparse vector and dense vector, and the input forms of a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError, require_text
from lsr.records import Query
from lsr.sparse import SparseBatch

Terms = Mapping[str, float] | Mapping[int, float] | SparseBatch
"""Weights by term, weights by term id, or a batch of one vector."""


@dataclass(frozen=True, slots=True)
class QueryParts:
    """A query for all branches; missing vectors are encoded from the text.

    Attributes
    ----------
    text : str or None
    sparse : mapping of term or term id to weight, or SparseBatch of one row, or None
    dense : (dimension,) floats or None
    """

    text: str | None = None
    sparse: Terms | None = None
    dense: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        if self.text is not None:
            require_text("the text of a query", self.text)


QueryInput = str | Query | Terms | QueryParts | NDArray[np.floating] | tuple[Any, Any] | Any
"""A text; weights by term or by term id; a `SparseBatch` or SciPy matrix of one row; a pair
``(indices, values)``; a dense vector as a one-dimensional array; or `QueryParts` with several."""


def parts_of(query: QueryInput) -> QueryParts:
    """Return a query as its parts.

    UsageError: its form is none of `QueryInput`; VectorError: its arrays are no sparse vector.
    """
    if isinstance(query, str):
        return QueryParts(query)
    if isinstance(query, QueryParts):
        return query
    if isinstance(query, Query):
        return QueryParts(query.text)
    if isinstance(query, SparseBatch | Mapping):
        return QueryParts(sparse=query)
    if hasattr(query, "tocsr"):
        return QueryParts(sparse=SparseBatch.from_scipy(query))
    if isinstance(query, tuple) and len(query) == 2:
        indices, values = query
        return QueryParts(sparse=SparseBatch.from_arrays([0, np.size(indices)], indices, values))
    if hasattr(query, "__array__") and np.ndim(query) == 1:
        return QueryParts(dense=np.asarray(query))
    raise UsageError(
        f"cannot search for {_described(query)}; expected a text, a mapping of terms to weights, a "
        "SparseBatch or SciPy matrix of one row, a pair (indices, values), or a dense vector as a "
        "one-dimensional array"
    )


def many_parts_of(queries: Any) -> list[QueryParts]:
    """Return the queries of a sequence, or the rows of a batch or matrix; errors as `parts_of`."""
    if hasattr(queries, "tocsr"):
        queries = SparseBatch.from_scipy(queries)
    if isinstance(queries, SparseBatch):
        rows = range(queries.n_rows)
        return [QueryParts(sparse=queries.rows(at, at + 1)) for at in rows]
    if isinstance(queries, str | Mapping) or not hasattr(queries, "__iter__"):
        raise UsageError(
            f"expected a list of queries, got {_described(queries)}; a single one goes in a list"
        )
    return [parts_of(query) for query in queries]


def _described(query: Any) -> str:
    if isinstance(query, list):
        return "a list (search_batch takes many queries)"
    if hasattr(query, "__array__"):
        return f"an array of shape {tuple(np.shape(query))}"
    return type(query).__name__
