"""Documents with dense vectors, an encoder that needs no network, and what must be found."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.encoders.dense import DenseEncoder, Similarity
from lsr.records import DocumentBatch
from lsr.sparse import SparseBatch

DIMENSION = 12


def clustered(rng: np.random.Generator, n: int, d: int = DIMENSION) -> NDArray[np.float32]:
    """Vectors around a few centres, as those of texts are."""
    centres = rng.normal(size=(8, d))
    return (centres[rng.integers(8, size=n)] + 0.4 * rng.normal(size=(n, d))).astype(np.float32)


def dense_batch(doc_ids: Sequence[str], vectors: NDArray[np.float32]) -> DocumentBatch:
    """Documents with a vector each, and the metadata `n`, their number."""
    n = len(doc_ids)
    return DocumentBatch(
        list(doc_ids),
        SparseBatch.from_rows([{i % 5: 1.0} for i in range(n)]),
        [f"text of {doc_id}" for doc_id in doc_ids],
        [""] * n,
        [{"n": int(doc_id[1:])} for doc_id in doc_ids],
        vectors,
    )


def rounded(vectors: NDArray[np.float32], similarity: Similarity) -> NDArray[np.float64]:
    """What an index keeps of vectors, by another way than it takes itself."""
    exact = vectors.astype(np.float64)
    if similarity == "cosine":
        exact = exact / np.sqrt((exact**2).sum(axis=1, keepdims=True))
    return exact.astype(np.float32).astype(np.float16).astype(np.float64)


class HashedWords(DenseEncoder):
    """A dense encoder: every word has a random direction, a text is the sum of its words'."""

    def __init__(self, dimension: int = DIMENSION, salt: int = 0) -> None:
        self._dimension = dimension
        self._salt = salt
        self.n_encoded = 0

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint({"kind": "hashed", "dimension": self._dimension, "salt": self._salt})

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def similarity(self) -> Similarity:
        return "cosine"

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.n_encoded += len(texts)
        return np.stack([self._vector(text) for text in texts])

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts])

    def assets(self) -> EncoderAssets:
        return EncoderAssets({"kind": "hashed", "digest": self.fingerprint.digest})

    def _vector(self, text: str) -> NDArray[np.float32]:
        total = np.zeros(self._dimension)
        for word in text.lower().split():
            rng = np.random.default_rng([zlib.crc32(word.encode()), self._salt])
            total += rng.normal(size=self._dimension)
        return total.astype(np.float32)
