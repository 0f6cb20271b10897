"""Small sets of sparse vectors for the tests of the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array, random_array, save_npz


def random_vectors(n_rows: int, n_terms: int, per_row: int, seed: int) -> csr_array[Any]:
    """Return positive random vectors; a few terms are far more frequent than the others."""
    rng = np.random.default_rng(seed)
    density = per_row / n_terms
    made = random_array((n_rows, n_terms), density=density, rng=rng, format="csr", dtype=np.float32)
    made.data = (0.05 + 2.5 * made.data**2).astype(np.float32)
    frequent = csr_array((rng.random((n_rows, 4)) < 0.6).astype(np.float32))
    padded = csr_array((frequent.data, frequent.indices, frequent.indptr), shape=(n_rows, n_terms))
    both = csr_array(made + padded)
    both.sort_indices()
    return both.astype(np.float32)


def save_vectors(folder: Path, n_docs: int = 1500, n_queries: int = 24) -> tuple[str, str]:
    """Write documents and queries as .npz and return the paths."""
    docs, queries = folder / "docs.npz", folder / "queries.npz"
    save_npz(docs, random_vectors(n_docs, 400, 20, seed=1))
    save_npz(queries, random_vectors(n_queries, 400, 8, seed=2))
    return str(docs), str(queries)
