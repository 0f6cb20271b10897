"""`TransformerVectors`: a transformer, pooled, as a dense encoder.

Mean pooling and length normalisation as in Reimers and Gurevych, "Sentence-BERT" (EMNLP 2019), §3.
Texts are encoded in batches of similar length, so hardly a token is padding, and returned in the
order they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.encoders.dense.base import Similarity
from lsr.encoders.dense.body import Body, Ids
from lsr.encoders.dense.layout import DensePooling
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import ModelError

KIND = "dense"


class TransformerVectors:
    """A dense encoder over one transformer.

    Parameters
    ----------
    body : Body
    documents, queries : WordPieces
        They differ in their prompt.
    pooling : {"mean", "cls", "max"}
    normalise : bool
    identity : mapping
        What shapes the vectors beyond these: digests of weights and tokenizer.
    settings : mapping
        ``name`` and options to load the encoder again.
    batch_size : int
        Texts of full length in a batch.
    """

    def __init__(
        self,
        body: Body,
        documents: WordPieces,
        queries: WordPieces,
        *,
        pooling: DensePooling,
        normalise: bool,
        identity: dict[str, Any],
        settings: dict[str, Any],
        batch_size: int,
    ) -> None:
        self._body = body
        self._documents = documents
        self._queries = queries
        self._pooling = pooling
        self._normalise = normalise
        self._settings = settings
        self._batch_tokens = batch_size * documents.max_length
        shape = {
            "dimension": body.dimension,
            "pooling": pooling,
            "normalise": normalise,
            "max_length": documents.max_length,
        }
        self._fingerprint = Fingerprint(
            {"kind": KIND, **identity, **shape, "prompt": documents.prompt},
            {"prompt": queries.prompt},
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """Model, tokenizer, pooling and limits; not where the model lies."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._body.dimension

    @property
    def similarity(self) -> Similarity:
        """Cosine of normalised vectors, inner product of others."""
        return "cosine" if self._normalise else "dot"

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of documents, (n, dimension) float32."""
        return self.encode_ids(self._documents.encode(texts))

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of queries, (n, dimension) float32."""
        return self.encode_ids(self._queries.encode(texts))

    def assets(self) -> EncoderAssets:
        """Return where the model lies and its digest; the weights stay where they are."""
        return EncoderAssets({"kind": KIND, **self._settings, "digest": self.fingerprint.digest})

    def encode_ids(self, ids: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return the vectors of texts given as piece ids; zeros for texts without pieces."""
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        vectors = np.zeros((len(ids), self.dimension), np.float32)
        batches, start = [], 0
        while start < len(order):
            size = max(1, self._batch_tokens // int(lengths[order[start]]))
            batches.append(order[start : start + size])
            start += size
        parts = self._body.run([[ids[row] for row in rows] for rows in batches], self._pooled)
        for rows, part in zip(batches, parts, strict=True):
            vectors[rows] = part
        if not np.isfinite(vectors).all():
            raise ModelError(
                f"{self._settings.get('name')}: the model made vectors that are not finite; "
                "its weights are damaged or it does not fit its configuration"
            )
        return vectors

    def _pooled(self, states: NDArray[Any], ids: Ids) -> NDArray[np.float32]:
        pooled = states if states.ndim == 2 else pool(states, ids, self._pooling)
        if self._normalise:
            norms = np.linalg.norm(pooled, axis=1, keepdims=True)
            pooled = pooled / np.maximum(norms, 1e-12)
        result: NDArray[np.float32] = np.ascontiguousarray(pooled, np.float32)
        return result


def pool(
    states: NDArray[Any], ids: Sequence[NDArray[np.int64]], pooling: DensePooling
) -> NDArray[np.float32]:
    """Make one vector of the states of each text.

    Parameters
    ----------
    states : (texts, tokens, dimension) float32
        Padded at the end of shorter texts.
    ids : sequence of (length,) int64
        The texts; only their lengths matter.
    """
    if pooling == "cls":
        first: NDArray[np.float32] = states[:, 0]
        return first
    lengths = np.array([len(row) for row in ids])
    real = (np.arange(states.shape[1]) < lengths[:, None])[:, :, None]
    if pooling == "max":
        largest: NDArray[np.float32] = np.where(real, states, -np.inf).max(axis=1)
        return largest
    total = np.where(real, states, 0).sum(axis=1, dtype=np.float32)
    mean: NDArray[np.float32] = total / lengths[:, None].astype(np.float32)
    return mean
