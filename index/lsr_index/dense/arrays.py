"""The arrays of a segment's dense vectors, checked before a kernel sees them."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError
from lsr_index.dense.codes import Codes, decode, finite, present
from lsr_index.storage.container import Container
from lsr_index.storage.dense_part import DensePart

_BLOCK_ROWS = 8192


class DenseArrays:
    """The dense vectors of one segment; a row is a vector, in the order of their lists.

    Opening checks types, shapes and the bounds of the lists; `checked`, once, what kernels index
    with; `check` the rest.

    Attributes
    ----------
    vectors : (v, d) uint16
        Half-precision numbers.
    documents : (v,) int32
        The document of each row, ascending within a list.
    rows : (n_docs,) int32
        The row of each document, -1: it has no vector.
    starts : (l + 1,) int64
        List `j` is rows ``starts[j]`` to ``starts[j + 1]``.
    centroids : (l, d) float32
    radii : (l,) float32
        No vector of a list is farther from its centre.
    """

    def __init__(self, container: Container, part: DensePart, n_docs: int) -> None:
        self._container = container
        self.n_docs = n_docs

        def array(name: str, dtype: str, *shape: int | None) -> Any:
            return container.typed(f"dense/{name}", dtype, shape, "dense/documents and dense/radii")

        self.documents: NDArray[np.int32] = array("documents", "<i4", None)
        self.radii: NDArray[np.float32] = array("radii", "<f4", None)
        self.n_vectors, self.n_lists = len(self.documents), len(self.radii)
        self.vectors: Codes = array("vectors", "<u2", self.n_vectors, part.dimension)
        self.rows: NDArray[np.int32] = array("rows", "<i4", n_docs)
        self.starts: NDArray[np.int64] = array("starts", "<i8", self.n_lists + 1)
        self.centroids: NDArray[np.float32] = array(
            "centroids", "<f4", self.n_lists, part.dimension
        )
        bounds = (int(self.starts[0]), int(self.starts[-1])) if self.n_lists else (0, 0)
        if not self.n_lists or bounds != (0, self.n_vectors) or (np.diff(self.starts) < 0).any():
            raise self._corrupt("starts", "it does not divide the vectors into lists")

    @property
    def flat(self) -> bool:
        """Whether there are no clusters."""
        return self.n_lists == 1

    @property
    def n_bytes(self) -> int:
        """Size of all arrays."""
        return sum(array.nbytes for array in self._container.arrays("dense/").values())

    @cached_property
    def checked(self) -> Self:
        """These arrays, once every number that kernels index with lies in its array."""
        for name, array, low, high in (
            ("documents", self.documents, 0, self.n_docs),
            ("rows", self.rows, -1, self.n_vectors),
        ):
            if len(array) and not (low <= int(array.min()) and int(array.max()) < high):
                raise self._corrupt(name, f"holds a number outside of {low} to {high - 1}")
        if not (np.isfinite(self.centroids).all() and np.isfinite(self.radii).all()):
            raise self._corrupt("centroids", "it or dense/radii holds a number that is not finite")
        return self

    @cached_property
    def all_rows(self) -> NDArray[np.int32]:
        """Every row."""
        return np.arange(self.n_vectors, dtype=np.int32)

    def codes_of(self, documents: NDArray[np.int64]) -> Codes:
        """Return the vectors of documents as stored, zeros for those without one."""
        rows = self.checked.rows[documents]
        found = np.zeros((len(rows), self.vectors.shape[1]), np.uint16)
        there = rows >= 0
        found[there] = self.vectors[rows[there]]
        return found

    def check(self) -> None:
        """Check that the arrays agree; reads everything. Raises CorruptIndexError."""
        _ = self.checked
        there = np.flatnonzero(self.rows >= 0)
        if len(there) != self.n_vectors or not np.array_equal(
            self.documents[self.rows[there]], there
        ):
            raise self._corrupt("rows", "it does not lead to the vectors of its documents")
        inner = np.ones(self.n_vectors, np.bool_)
        inner[self.starts[:-1][np.diff(self.starts) > 0]] = False
        if (np.diff(self.documents)[inner[1:]] <= 0).any():
            raise self._corrupt("documents", "it does not rise within a list")
        if (self.radii < 0).any():
            raise self._corrupt("radii", "it holds a negative number")
        for start in range(0, self.n_vectors, _BLOCK_ROWS):
            block = self.vectors[start : start + _BLOCK_ROWS]
            if not finite(block) or not present(block).all():
                raise self._corrupt(
                    "vectors", "it holds a number that is not finite, or only zeros"
                )

    def check_radii(self) -> None:
        """Check that every vector lies within its list's radius. Raises CorruptIndexError."""
        for number in range(self.n_lists):
            for start in range(int(self.starts[number]), int(self.starts[number + 1]), _BLOCK_ROWS):
                stop = min(start + _BLOCK_ROWS, int(self.starts[number + 1]))
                away = decode(self.vectors[start:stop]) - self.centroids[number]
                reach = np.linalg.norm(away.astype(np.float64), axis=1).max()
                if reach > float(self.radii[number]) * (1 + 1e-6):
                    raise self._corrupt("radii", f"it is too small for list {number}")

    def _corrupt(self, name: str, what: str) -> CorruptIndexError:
        return self._container.corrupt(f"dense/{name}", what)
