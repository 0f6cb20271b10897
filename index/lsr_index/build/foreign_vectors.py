"""Dense vectors made elsewhere: a NumPy file, or an index file of faiss.

A faiss file has no checksum, and its reader does not check its header. So the header is compared
with the file before faiss reads it; a flat file is read without faiss.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.dense.base import Similarity
from lsr.errors import MissingDependencyError, VectorError
from lsr_index.storage.dense_part import MAX_DIMENSION
from lsr_index.storage.manifest import MAX_DOCS

# Kind, dimension, vectors, two constants, whether it is trained, metric.
_HEAD = struct.Struct("<4siqqqBi")
_CONSTANT = 1 << 20
_INNER_PRODUCT, _L2 = 0, 1
_FLAT = {b"IxFI": _INNER_PRODUCT, b"IxF2": _L2}
_READ = {
    b"IwFl": "IndexIVFFlat",
    b"IwSq": "IndexIVFScalarQuantizer",
    b"IxSQ": "IndexScalarQuantizer",
    b"IHNf": "IndexHNSWFlat",
    b"IHNs": "IndexHNSWSQ",
}
_BLOCK_ROWS = 4096
_UNIT_TOLERANCE = 5e-3
_LOOPS = 1 << 31


@dataclass(frozen=True)
class ForeignVectors:
    """Vectors in the order of their file.

    Those compared `by_distance` (L2) can be imported only if of length 1. `rows` takes numbers of
    vectors, (n,) int64, and returns them in this order, (n, dimension) float32.
    """

    path: Path
    n_vectors: int
    dimension: int
    by_distance: bool
    rows: Callable[[NDArray[np.int64]], NDArray[np.float32]]


def open_vectors(path: Path | str) -> ForeignVectors:
    """Open a ``.npy`` file of floats, (n, d), or an index file of faiss; else VectorError."""
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
    if head[:6] == b"\x93NUMPY":
        return _open_numpy(path)
    if head[:4] in _FLAT:
        return _open_flat(path, head)
    if head[:4] in _READ:
        return _open_with_faiss(path, head)
    raise VectorError(
        f"{path}: neither a .npy file nor a faiss index of a kind that is read (flat, IVF, HNSW, "
        "scalar quantiser; no transformation, product quantiser or id map around them)"
    )


def similarity_of(vectors: ForeignVectors) -> Similarity:
    """Return "cosine" for vectors of length 1, else "dot", or VectorError for an L2 index."""
    for block in blocks(vectors, np.arange(vectors.n_vectors)):
        lengths = np.linalg.norm(block, axis=1)
        if (np.abs(lengths - 1) > _UNIT_TOLERANCE).any():
            if vectors.by_distance:
                raise VectorError(
                    f"{vectors.path}: compares by distance (L2) vectors of different lengths, "
                    "which is not supported; normalise them, or ask for cosine or dot explicitly"
                )
            return "dot"
    return "cosine"


def blocks(vectors: ForeignVectors, order: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """Yield the vectors numbered by `order`, (n,), in blocks."""
    for start in range(0, len(order), _BLOCK_ROWS):
        yield vectors.rows(order[start : start + _BLOCK_ROWS])


def _of_matrix(path: Path, matrix: NDArray[np.floating], by_distance: bool) -> ForeignVectors:
    def rows(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.asarray(matrix[numbers], np.float32)

    n_vectors, dimension = matrix.shape
    return ForeignVectors(path, n_vectors, dimension, by_distance, rows)


def _open_numpy(path: Path) -> ForeignVectors:
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise VectorError(f"{path}: cannot be read as an array ({error})") from None
    if matrix.ndim != 2 or matrix.dtype not in (np.float16, np.float32, np.float64):
        raise VectorError(
            f"{path}: expected a matrix of floats, a row for each vector, found shape "
            f"{matrix.shape} of {matrix.dtype}"
        )
    return _of_matrix(path, matrix, by_distance=False)


def _open_flat(path: Path, head: bytes) -> ForeignVectors:
    dimension, n_vectors, metric = _checked_head(path, head)
    if metric != _FLAT[head[:4]]:
        raise _damaged(path, "its kind and its metric contradict each other")
    size, expected = path.stat().st_size, _HEAD.size + 8 + 4 * dimension * n_vectors
    if size != expected:
        raise _damaged(path, f"it has {size} bytes, its head makes {expected}")
    with path.open("rb") as file:
        file.seek(_HEAD.size)
        (count,) = struct.unpack("<Q", file.read(8))
    if count != dimension * n_vectors:
        raise _damaged(path, f"it says that {count} numbers follow, not {dimension * n_vectors}")
    matrix = np.memmap(path, "<f4", "r", _HEAD.size + 8, (n_vectors, dimension))
    return _of_matrix(path, matrix, metric == _L2)


def _open_with_faiss(path: Path, head: bytes) -> ForeignVectors:
    """Open vectors that faiss reconstructs from its own structure."""
    dimension, n_vectors, metric = _checked_head(path, head)
    # One byte a number is the least that any kind which is read stores.
    if path.stat().st_size < n_vectors * dimension // 2:
        raise _damaged(path, f"it is too short for {n_vectors} vectors")
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError(f"reading {path}", "dense") from error
    faiss.set_deserialization_vector_byte_limit(path.stat().st_size)
    faiss.set_deserialization_loop_limit(_LOOPS)
    try:
        index: Any = faiss.read_index(str(path))
        if hasattr(index, "make_direct_map"):
            _require_own_order(path, index)
            index.make_direct_map()
    except VectorError:
        raise
    except Exception as error:  # faiss raises nothing more precise
        reason = str(error).strip().splitlines()[-1][:200]
        raise _damaged(path, f"faiss cannot read it ({reason})") from None
    found = (type(index).__name__, index.d, index.ntotal)
    if found != (_READ[head[:4]], dimension, n_vectors):
        raise _damaged(path, f"faiss finds {found}, its head says otherwise")

    def rows(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        vectors = np.empty((len(numbers), dimension), np.float32)
        for i, number in enumerate(numbers.tolist()):
            index.reconstruct(number, vectors[i])
        return vectors

    return ForeignVectors(path, n_vectors, dimension, metric == _L2, rows)


def _require_own_order(path: Path, index: Any) -> None:
    """Raise for inverted lists whose vectors were added with ids other than 0, 1, 2, ….

    A list keeps its vectors in the order in which they were added. Ids that do not ascend were
    given by the user, and the file does not say which vector was the first.
    """
    import faiss

    lists = index.invlists
    sizes = [lists.list_size(number) for number in range(index.nlist)]
    seen = np.zeros(sum(sizes), np.bool_)
    for number, size in enumerate(sizes):
        ids = faiss.rev_swig_ptr(lists.get_ids(number), size) if size else np.zeros(0, np.int64)
        if (np.diff(ids) <= 0).any() or ((ids < 0) | (ids >= len(seen))).any():
            break
        seen[ids] = True
    if not seen.all():
        raise VectorError(
            f"{path}: its vectors have ids of their own (add_with_ids), not 0 to "
            f"{len(seen) - 1} in the order in which they were added, so that it cannot be told "
            "whose they are; save the vectors as .npy in the order of the ids"
        )


def _checked_head(path: Path, head: bytes) -> tuple[int, int, int]:
    if len(head) < _HEAD.size:
        raise _damaged(path, "it is cut short")
    kind, dimension, n_vectors, first, second, trained, metric = _HEAD.unpack(head)
    if (first, second) != (_CONSTANT, _CONSTANT) or kind not in (*_FLAT, *_READ):
        raise _damaged(path, "its head is not that of a faiss index")
    if not 1 <= dimension <= MAX_DIMENSION or not 0 <= n_vectors <= MAX_DOCS:
        raise _damaged(path, f"it says {n_vectors} vectors of {dimension} numbers")
    if trained != 1 or metric not in (_INNER_PRODUCT, _L2):
        raise _damaged(path, "it is not trained, or compares neither by inner product nor by L2")
    return dimension, n_vectors, metric


def _damaged(path: Path, what: str) -> VectorError:
    return VectorError(f"{path}: damaged, or no faiss index: {what}")
