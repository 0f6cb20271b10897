"""Warm-up: kernels are compiled and loaded before the first request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lsr.errors import LsrError
from lsr_service.cli.terminal import tell

if TYPE_CHECKING:
    from lsr_index.hybrid import Retriever

_logger = logging.getLogger("lsr.engine")

MANY_TERMS = 1_024
"""Terms of the longest query by default; short and long queries use different kernels."""

_ALL = {"$lenient": True, "warm-up": {"$exists": False}}
"""A filter that documents pass: filtered searches have kernels of their own."""


def tell_if_compiling() -> None:
    """Write to standard error why the first search on this machine takes longer."""
    from lsr_index.kernels.jit import CACHE_FOLDER

    if next(CACHE_FOLDER.rglob("*.nbi"), None) is None:
        tell("compiling the search kernels for this machine; this happens once …")


def warm_up(retriever: Retriever) -> None:
    """Search in every mode with few and with many terms, which loads compiled code and tables."""
    import numpy as np

    from lsr.sparse import SparseBatch
    from lsr_index.hybrid import QueryParts

    if retriever.encoder is not None:
        retriever.search("is this thing on", explain=True)
    dense = retriever.index.dense
    for n_terms in (1, MANY_TERMS):
        sparse = SparseBatch.from_rows([dict.fromkeys(range(n_terms), 1.0)])
        retriever.search(sparse, explain=True)
        if dense is not None:
            parts = QueryParts(sparse=sparse, dense=np.ones(dense.dimension, np.float32))
            for condition in (None, _ALL):
                retriever.search(parts, mode="hybrid", filter=condition, explain=True)
    if dense is not None and dense.encoder_assets is not None:
        _warm_up_dense(retriever)


def _warm_up_dense(retriever: Retriever) -> None:
    """Load the dense model. Without it the index still answers sparse searches."""
    try:
        retriever.search("is this thing on", mode="dense")
    except LsrError as error:
        _logger.warning("dense searches will fail: %s", error)
