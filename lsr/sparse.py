"""`SparseBatch`: a batch of sparse vectors in compressed sparse row form.

Encoders make it, the index stores it, files hold it. A batch is validated once, where it enters
(`SparseBatch.from_arrays`, the readers of `lsr.vectors`), and trusted afterwards. Within a row,
term ids are strictly increasing and weights finite and positive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsr.errors import VectorError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_WEIGHT = 1e4
"""Largest weight accepted. Learned weights stay below 10; far larger ones are a mistake, and one of
them would make the single quantisation scale of an index useless for all the others."""

MAX_TERM_ID = 2**32 - 1


@dataclass(frozen=True, slots=True)
class SparseBatch:
    """A batch of `n_rows` sparse vectors.

    Attributes
    ----------
    indptr : (n_rows + 1,) int64
        Row `i` owns the entries ``indptr[i]:indptr[i + 1]``.
    indices : (nnz,) uint32
        Term ids, strictly increasing within a row.
    values : (nnz,) float32
        Weights, finite and greater than zero.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint32]
    values: NDArray[np.float32]

    @classmethod
    def from_arrays(cls, indptr: ArrayLike, indices: ArrayLike, values: ArrayLike) -> SparseBatch:
        """Validate arrays from outside and make a batch of them.

        `indices` are term ids, `values` their weights. Rows may be unsorted and may hold explicit
        zeros: they are sorted, zeros are dropped.

        Raises
        ------
        VectorError
            On bad offsets, a duplicate term in a row, a negative, NaN, infinite or too large
            weight, or a term id outside of 32 bits. The message names the row and the entry.
        """
        raw_ids = _array("term ids", indices)
        raw_weights = _array("weights", values)
        offsets = _checked_offsets(_array("indptr", indptr), raw_ids, raw_weights)
        if raw_ids.size and raw_ids.dtype.kind not in "iu":
            raise VectorError(f"term ids must be integers, got {raw_ids.dtype}")
        if raw_weights.size and raw_weights.dtype.kind not in "fiu":
            raise VectorError(f"weights must be numbers, got {raw_weights.dtype}")
        if raw_ids.dtype != np.uint32:
            bad = (raw_ids < 0) | (raw_ids > MAX_TERM_ID)
            _require_none(offsets, raw_ids, bad, "a term id from 0 to 2^32-1")
        ids = raw_ids.astype(np.uint32)
        with np.errstate(over="ignore"):
            weights = raw_weights.astype(np.float32)
        bad = ~((weights >= 0) & (weights <= MAX_WEIGHT))  # NaN is neither
        _require_none(offsets, raw_weights, bad, f"a finite weight from 0 to {MAX_WEIGHT:g}")
        batch = cls(offsets, ids, weights)._without(weights == 0)
        return batch if batch._rises() else batch._sorted()

    @classmethod
    def of_lengths(
        cls, lengths: ArrayLike, indices: NDArray[np.uint32], values: NDArray[np.float32]
    ) -> SparseBatch:
        """Make a batch of rows that follow each other, ``lengths[i]`` entries each; trusted."""
        indptr = np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))])
        return cls(indptr.astype(np.int64), indices, values)

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[int, float]]) -> SparseBatch:
        """Make a batch of ``{term_id: weight}`` mappings; validates like `from_arrays`.

        Raises VectorError also for a term id that is no integer and a weight that is no number.
        """
        materialised = [list(row.items()) for row in rows]
        indptr = np.cumsum([0, *(len(row) for row in materialised)], dtype=np.int64)
        entries = [entry for row in materialised for entry in row]
        if not entries:
            return cls.empty(len(materialised))
        ids = np.asarray([entry[0] for entry in entries])
        weights = np.asarray([entry[1] for entry in entries])
        if ids.dtype.kind not in "iu" or weights.dtype.kind not in "fiu":
            _require_entries(materialised)
            ids, weights = ids.astype(np.int64), weights.astype(np.float64)
        return cls.from_arrays(indptr, ids, weights)

    @classmethod
    def from_scipy(cls, matrix: Any) -> SparseBatch:
        """Make a batch of any SciPy sparse matrix or array; validates like `from_arrays`."""
        csr = matrix.tocsr(copy=True)
        csr.sum_duplicates()
        return cls.from_arrays(csr.indptr, csr.indices, csr.data)

    @classmethod
    def empty(cls, n_rows: int = 0) -> SparseBatch:
        """Make a batch of `n_rows` vectors without a single entry."""
        return cls(np.zeros(n_rows + 1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32))

    @classmethod
    def concatenate(cls, batches: Sequence[SparseBatch]) -> SparseBatch:
        """Stack batches on top of each other."""
        if not batches:
            return cls.empty()
        lengths = np.concatenate([np.diff(batch.indptr) for batch in batches])
        return cls.of_lengths(
            lengths,
            np.concatenate([batch.indices for batch in batches]),
            np.concatenate([batch.values for batch in batches]),
        )

    @property
    def n_rows(self) -> int:
        """Number of vectors."""
        return len(self.indptr) - 1

    @property
    def nnz(self) -> int:
        """Number of entries of all vectors together."""
        return int(self.indptr[-1] - self.indptr[0])

    def __len__(self) -> int:
        return self.n_rows

    def row(self, i: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Return the term ids and weights of vector `i`, as views."""
        start, end = self.indptr[i], self.indptr[i + 1]
        return self.indices[start:end], self.values[start:end]

    def rows(self, start: int, end: int) -> SparseBatch:
        """Return vectors `start` to `end` (exclusive); arrays are views where they can be."""
        low, high = self.indptr[start], self.indptr[end]
        return SparseBatch(
            self.indptr[start : end + 1] - low, self.indices[low:high], self.values[low:high]
        )

    def select(self, order: NDArray[np.integer[Any]]) -> SparseBatch:
        """Return the vectors at positions `order`, in that order (copies)."""
        lengths = np.diff(self.indptr)[order]
        starts = np.cumsum(lengths) - lengths
        entries = np.arange(lengths.sum()) + np.repeat(self.indptr[order] - starts, lengths)
        return SparseBatch.of_lengths(lengths, self.indices[entries], self.values[entries])

    def top(self, n: int) -> SparseBatch:
        """Keep the `n` largest weights of each vector; of equal weights the smaller term ids."""
        rows = np.repeat(np.arange(self.n_rows), np.diff(self.indptr))
        order = np.lexsort((self.indices, -self.values, rows))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - np.repeat(self.indptr[:-1], np.diff(self.indptr))
        return self._without(rank >= n)

    def top_mass(self, share: float) -> SparseBatch:
        """Keep the largest weights of each vector that make up a share of their sum, above 0.

        The alpha-mass subvector of Bruch, Nardini, Rulli, Venturini, "Efficient Inverted Indexes
        for Approximate Retrieval over Learned Sparse Representations" (SIGIR 2024).
        """
        if share >= 1:
            return self
        lengths = np.diff(self.indptr)
        rows = np.repeat(np.arange(self.n_rows), lengths)
        order = np.lexsort((self.indices, -self.values, rows))
        before = np.concatenate([[0.0], np.cumsum(self.values[order].astype(np.float64))])
        starts = self.indptr[:-1]
        totals = before[self.indptr[1:]] - before[starts]
        # An entry stays while those in front of it do not make up the share yet.
        kept = before[:-1] - np.repeat(before[starts], lengths) < share * np.repeat(totals, lengths)
        drop = np.ones(len(order), np.bool_)
        drop[order[kept]] = False
        return self._without(drop)

    def to_scipy(self, n_terms: int | None = None) -> csr_array:
        """Return a SciPy CSR array that shares memory; by default with the fewest columns."""
        from scipy.sparse import csr_array

        if n_terms is None:
            n_terms = int(self.indices.max()) + 1 if len(self.indices) else 0
        return csr_array(
            (self.values, self.indices.astype(np.int64), self.indptr), shape=(self.n_rows, n_terms)
        )

    def _without(self, drop: NDArray[np.bool_]) -> SparseBatch:
        if not drop.any():
            return self
        kept_before = np.concatenate([[0], np.cumsum(~drop)]).astype(np.int64)
        return SparseBatch(kept_before[self.indptr], self.indices[~drop], self.values[~drop])

    def _rises(self) -> bool:
        """Whether the term ids of each row rise strictly, as nearly all that come in do."""
        rises = self.indices[1:] > self.indices[:-1]
        if rises.all():
            return True
        edges = self.indptr[1:-1]
        rises[edges[(edges > 0) & (edges <= len(rises))] - 1] = True
        return bool(rises.all())

    def _sorted(self) -> SparseBatch:
        """Order each row by term id; raises VectorError for a row that holds a term twice."""
        rows = np.repeat(np.arange(self.n_rows), np.diff(self.indptr))
        order = np.lexsort((self.indices, rows))
        ids = self.indices[order]
        same = (ids[1:] == ids[:-1]) & (rows[1:] == rows[:-1])
        if same.any():
            at = int(np.argmax(same))
            raise VectorError(
                f"row {rows[at]}: term id {ids[at]} appears twice; a vector holds each term once"
            )
        return SparseBatch(self.indptr, ids, self.values[order])


def _array(what: str, given: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (ValueError, TypeError) as error:
        raise VectorError(f"{what} are no array: {error}") from None


def _require_entries(rows: Sequence[Sequence[tuple[Any, Any]]]) -> None:
    """Raise VectorError for a term id that is no integer of 32 bits, or a weight that is none."""
    for number, row in enumerate(rows):
        for term, weight in row:
            whole = isinstance(term, int | np.integer) and not isinstance(term, bool)
            if not whole or not 0 <= term <= MAX_TERM_ID:
                raise VectorError(
                    f"row {number}: expected a term id from 0 to 2^32-1, got {term!r}; terms by "
                    "name need an encoder or a vocabulary"
                )
            if not isinstance(weight, Real):
                raise VectorError(
                    f"row {number}, term id {term}: expected a number as its weight, got {weight!r}"
                )


def _checked_offsets(
    indptr: NDArray[Any], term_ids: NDArray[Any], weights: NDArray[Any]
) -> NDArray[np.int64]:
    if indptr.ndim != 1 or term_ids.ndim != 1 or weights.ndim != 1:
        raise VectorError("indptr, term ids and weights must be one-dimensional")
    if len(term_ids) != len(weights):
        raise VectorError(f"{len(term_ids)} term ids for {len(weights)} weights; expected as many")
    if indptr.dtype.kind not in "iu" or len(indptr) == 0:
        raise VectorError("indptr must be integers, one more than there are rows")
    offsets = indptr.astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != len(term_ids) or (np.diff(offsets) < 0).any():
        raise VectorError(
            f"indptr must start at 0, never fall and end at {len(term_ids)}, the number of entries"
        )
    return offsets


def _require_none(
    offsets: NDArray[np.int64], values: NDArray[Any], bad: NDArray[np.bool_], expected: str
) -> None:
    if bad.any():
        at = int(np.argmax(bad))
        row = int(np.searchsorted(offsets, at, side="right")) - 1
        raise VectorError(
            f"row {row}, entry {at - offsets[row]}: expected {expected}, got {values[at]}"
        )
