"""Splice model: fitted to real vectors, it makes one synthetic document from two real ones.

A synthetic document follows a real one, its base. For each group of terms it takes the terms of
the base or, less often, those of a near neighbour of the base in the collection's own order. Its
weights then move along the list of weights which the term really has. In expectation this keeps the
document frequencies and every term's weight profile, tiny weights included; it keeps co-occurrence
within groups fully and between groups mostly; and as neighbours of a synthetic document follow
neighbours of its base, it keeps the locality of the source order.

A large collection uses each base many times. To keep the scores of these copies apart, the weights
of a run of neighbouring documents are raised or lowered together, in other runs for each pass over
the bases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr_eval.synthetic.term_groups import group_terms

if TYPE_CHECKING:
    from scipy.sparse import csr_array

N_GROUPS = 64
KEEP = 0.9
"""Probability that a group comes from the base. Lower values make the best scores of a query too
low, because terms that match it together are separated."""
RUN_LENGTH = 32
"""Mean length of a run of documents whose weights move together. If each document moved on its own,
block maxima would be too high, and less could be pruned than in a real collection."""
RUN_NOISE = 0.15
"""Standard deviation of a run's move along the sorted weights, as a share of them; it keeps copies
of one base apart."""
GROUP_NOISE = TERM_NOISE = 0.02
"""The same of a group of terms in one document, and of a single weight."""


@dataclass(frozen=True)
class SpliceModel:
    """A real collection, prepared for splicing.

    Attributes
    ----------
    docs : SparseBatch
        The real vectors, in source order.
    n_terms : int
    groups : (n_terms,) int64
        Group of each term.
    n_groups : int
    ranks : (nnz,) int64
        Rank of each entry of `docs` among the weights of its term, smallest first.
    profile_indptr : (n_terms + 1,) int64
    profile : (nnz,) float32
        The sorted weights of term `t` are ``profile[profile_indptr[t]:profile_indptr[t + 1]]``.
    """

    docs: SparseBatch
    n_terms: int
    groups: NDArray[np.int64]
    n_groups: int
    ranks: NDArray[np.int64]
    profile_indptr: NDArray[np.int64]
    profile: NDArray[np.float32]


def fit(
    docs: csr_array[Any, tuple[int, int]],
    *,
    groups: NDArray[np.int64] | None = None,
    n_groups: int = N_GROUPS,
    seed: int = 0,
) -> SpliceModel:
    """Prepare a real collection for splicing.

    Parameters
    ----------
    docs : (n_docs, n_terms) CSR array of float32
        Real vectors in source order, all weights positive, term ids sorted within a row.
    groups : (n_terms,) int64, optional
        Groups learned before, as those of the documents when `docs` are queries; by default the
        terms are clustered into `n_groups`.
    """
    if docs.shape[0] == 0:
        raise UsageError("a synthetic collection is fitted to real documents; this set has none")
    order = np.lexsort((docs.data, docs.indices))
    lengths = np.bincount(docs.indices, minlength=docs.shape[1])
    profile_indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    ranks -= profile_indptr[docs.indices]
    if groups is None:
        groups = group_terms(docs, n_groups, np.random.default_rng(seed))
    return SpliceModel(
        docs=SparseBatch.from_scipy(docs),
        n_terms=docs.shape[1],
        groups=groups,
        n_groups=int(groups.max(initial=0)) + 1,
        ranks=ranks,
        profile_indptr=profile_indptr,
        profile=docs.data[order].astype(np.float32),
    )


def splice(
    model: SpliceModel,
    base: NDArray[np.int64],
    partner: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    run_length: float = RUN_LENGTH,
) -> SparseBatch:
    """Make one synthetic document of each pair of real ones, (n,) int64 rows of ``model.docs``.

    `run_length` is the mean length of a run of rows whose weights move together.
    """
    n = len(base)
    from_base = rng.random((n, model.n_groups)) < KEEP
    base_rows, base_entries = _entries(model, base, from_base)
    partner_rows, partner_entries = _entries(model, partner, ~from_base)
    rows = np.concatenate([base_rows, partner_rows])
    entries = np.concatenate([base_entries, partner_entries])
    # A group comes from one document alone, so no term can appear twice in a row.
    terms = model.docs.indices[entries].astype(np.int64)
    order = np.argsort(rows * model.n_terms + terms)
    rows, entries, terms = rows[order], entries[order], terms[order]
    moves = _moves(model, n, rows, terms, run_length, rng)
    weights = _moved_weights(model, entries, terms, moves)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int64)
    return SparseBatch(indptr, terms.astype(np.uint32), weights)


def _entries(
    model: SpliceModel, picked: NDArray[np.int64], takes: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (row of the new batch, entry of ``model.docs``) of all terms in the groups taken."""
    indptr = model.docs.indptr
    lengths = indptr[picked + 1] - indptr[picked]
    rows = np.repeat(np.arange(len(picked)), lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    entries = np.arange(starts[-1]) + np.repeat(indptr[picked] - starts[:-1], lengths)
    taken = takes[rows, model.groups[model.docs.indices[entries]]]
    return rows[taken], entries[taken]


def _moves(
    model: SpliceModel,
    n: int,
    rows: NDArray[np.int64],
    terms: NDArray[np.int64],
    run_length: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return how far each weight moves along those of its term, as a share of them."""
    run = np.cumsum(rng.random(n) < 1 / run_length)
    of_run = rng.normal(0, RUN_NOISE, n + 1)[run]
    of_group = rng.normal(0, GROUP_NOISE, (n, model.n_groups))
    of_term = rng.normal(0, TERM_NOISE, len(rows))
    return np.asarray(of_run[rows] + of_group[rows, model.groups[terms]] + of_term, np.float64)


def _moved_weights(
    model: SpliceModel,
    entries: NDArray[np.int64],
    terms: NDArray[np.int64],
    moves: NDArray[np.float64],
) -> NDArray[np.float32]:
    start = model.profile_indptr[terms]
    last = model.profile_indptr[terms + 1] - start - 1
    rank = np.abs(model.ranks[entries] + moves * (last + 1))
    # Reflected at both ends: clipping would pile weights up at the extremes of the profile.
    rank = np.clip(np.where(rank > last, 2 * last - rank, rank), 0, last)
    # Between two weights of the profile: a rare term has few, and copies would often share one.
    below = rank.astype(np.int64)
    low = model.profile[start + below]
    high = model.profile[start + np.minimum(below + 1, last)]
    return np.asarray(low + (rank - below) * (high - low), np.float32)
