"""Workload of a benchmark: documents and queries in vector files, SciPy `.npz` and Parquet."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from lsr.errors import UsageError, VectorError
from lsr.sparse import MAX_WEIGHT, SparseBatch
from lsr_eval.synthetic import SyntheticCollection, fit

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FLOAT16_SMALLEST = np.float16(6e-8)


@dataclass(frozen=True)
class Workload:
    """Documents and queries by path (see `load_vectors`), so that every process loads its own.

    The limits keep the first documents, and queries drawn evenly over the file. `shuffle` is the
    seed of a random order of the documents. With `synthetic`, there are so many synthetic documents
    instead, made from `seed` and fitted to those of the file.
    """

    docs: str
    queries: str
    docs_limit: int | None = None
    queries_limit: int | None = None
    shuffle: int | None = None
    synthetic: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.synthetic is not None and (self.shuffle, self.docs_limit) != (None, None):
            raise UsageError(
                "synthetic documents can be neither shuffled nor limited: they follow the order of "
                "the real ones, and their number is given"
            )

    def load_docs(self) -> csr_array[Any, tuple[int, int]]:
        """Read or make the documents, as (n_docs, n_terms) CSR of float32."""
        if self.synthetic is not None:
            return self.stream_docs().to_scipy()
        docs = load_vectors(self.docs)
        if self.docs_limit is not None:
            docs = docs[: self.docs_limit]
        if self.shuffle is not None:
            docs = docs[np.random.default_rng(self.shuffle).permutation(docs.shape[0])]
        return docs

    def stream_docs(self) -> SyntheticCollection:
        """Return synthetic documents as an iterable of batches that does not hold them."""
        if self.synthetic is None:
            raise UsageError("only synthetic documents can be streamed")
        return SyntheticCollection(fit(load_vectors(self.docs)), self.synthetic, self.seed)

    def load_queries(self, n_terms: int) -> csr_array[Any, tuple[int, int]]:
        """Read the queries, as (n_queries, n_terms) CSR of float32.

        Terms beyond the vocabulary of the documents cannot match and are left out.
        """
        queries = load_vectors(self.queries)
        if self.queries_limit is not None and self.queries_limit < queries.shape[0]:
            chosen = np.linspace(0, queries.shape[0] - 1, self.queries_limit).astype(np.int64)
            queries = queries[chosen]
        if queries.shape[1] > n_terms:
            return queries[:, :n_terms].tocsr()
        return widened(queries, n_terms)


def load_vectors(path: Path | str) -> csr_array[Any, tuple[int, int]]:
    """Read a SciPy `.npz` of any sparse format and float type, or a Parquet file of `lsr.vectors`.

    Returned is a (n_rows, n_terms) CSR array of float32: term ids sorted within a row, no
    duplicates, no explicit zeros. Raises `VectorError` if the file is missing, is not of these
    formats, or holds a weight that is not positive and finite.
    """
    path = Path(path)
    if not path.is_file():
        raise VectorError(f"{path}: no such file; expected a SciPy .npz or a Parquet file")
    if path.suffix == ".parquet":
        from lsr.vectors import read_parquet

        return SparseBatch.concatenate([batch.vectors for batch in read_parquet(path)]).to_scipy()
    return _load_npz(path)


def widened(
    matrix: csr_array[Any, tuple[int, int]], n_terms: int
) -> csr_array[Any, tuple[int, int]]:
    """Return the same rows with `n_terms` columns, so that documents and queries fit together."""
    from scipy.sparse import csr_array

    arrays = (matrix.data, matrix.indices, matrix.indptr)
    return csr_array(arrays, shape=(matrix.shape[0], n_terms))


def write_npz(
    path: Path | str,
    blocks: Iterable[SparseBatch],
    n_terms: int,
    dtype: Literal["float16", "float32"] = "float16",
) -> int:
    """Write blocks of vectors as one SciPy CSR `.npz`, without holding them in memory.

    Weights below the smallest float16 become that, never zero. Returns the number of non-zeros.
    """
    path = Path(path)
    lengths: list[NDArray[np.int64]] = []
    with (
        tempfile.TemporaryFile(dir=path.parent) as ids,
        tempfile.TemporaryFile(dir=path.parent) as weights,
    ):
        for block in blocks:
            lengths.append(np.diff(block.indptr))
            ids.write(block.indices.astype(np.int32).tobytes())
            weights.write(_narrowed(block.values, dtype).tobytes())
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        nnz = int(indptr[-1])
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            _add_stream(archive, "indices", ids, np.dtype(np.int32), nnz)
            _add_stream(archive, "data", weights, np.dtype(dtype), nnz)
            _add_array(archive, "indptr", indptr if nnz > 2**31 - 1 else indptr.astype(np.int32))
            _add_array(archive, "shape", np.array([len(indptr) - 1, n_terms]))
            _add_array(archive, "format", np.array(b"csr"))
    return nnz


def _load_npz(path: Path) -> csr_array[Any, tuple[int, int]]:
    from scipy.sparse import csr_array, load_npz

    try:
        loaded = load_npz(path)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise VectorError(
            f"{path}: not a SciPy sparse matrix ({error}); expected a file of scipy.sparse.save_npz"
        ) from error
    # SciPy cannot convert between formats in float16, so widen first.
    matrix = csr_array(loaded.astype(np.float32))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    bad = ~np.isfinite(matrix.data) | (matrix.data < 0) | (matrix.data > MAX_WEIGHT)
    if bad.any():
        at = int(np.argmax(bad))
        row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
        raise VectorError(
            f"{path}: row {row}, term {matrix.indices[at]}: expected a weight from 0 to "
            f"{MAX_WEIGHT:g}, got {matrix.data[at]}"
        )
    return matrix


def _narrowed(weights: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    if dtype == "float32":
        return weights
    return np.maximum(weights.astype(np.float16), FLOAT16_SMALLEST)


def _add_stream(
    archive: zipfile.ZipFile, name: str, stream: IO[bytes], dtype: np.dtype[Any], length: int
) -> None:
    header = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
    stream.seek(0)
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        npy_format.write_array_header_1_0(member, header)
        copyfileobj(stream, member, 1 << 20)


def _add_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        npy_format.write_array(member, array)
