"""Sparse vectors from a text embedding: mean of the states, a linear layer, the largest terms.

sentence-transformers calls it Transformer, Pooling, Normalize and SparseAutoEncoder (Wen et al.,
"Beyond Matryoshka", arXiv 2503.01776, §3): `top_k(relu(W (e - centre) + b))`. torch runs the floats
of the default encoder, or of another model of this kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from lsr.encoders.dense.body import TorchBody
from lsr.encoders.dense.encoder import TransformerVectors
from lsr.encoders.dense.layout import read_pooling
from lsr.encoders.neural.model_files import WEIGHTS, model_digests, read_json, sha256_of
from lsr.encoders.neural.splade_layout import PooledSide
from lsr.encoders.neural.transformer_body import load_tokenizer
from lsr.encoders.neural.word_pieces import WordPieces, input_length
from lsr.errors import ModelError
from lsr.sparse import SparseBatch

_BATCH_SIZE = 8


class PooledVectors:
    """Sparse vectors by a pooled transformer and a linear layer; options as in `load_splade`.

    Raises ModelError for weights that are missing or do not fit each other.
    """

    def __init__(
        self,
        side: PooledSide,
        *,
        max_length: int | None,
        batch_size: int | None,
        device: str | None,
    ) -> None:
        self.side = side
        self._pooling = read_pooling(side.pooling / "config.json")
        tokenizer, limit = load_tokenizer(side.folder)
        body = TorchBody(side.folder, device)
        length = input_length(max_length, side.max_length or limit, body.max_length or 512)
        self.pieces = WordPieces(
            tokenizer, max_length=length, prompt=side.prompt, lowercase=side.lowercase
        )
        self._embeddings = TransformerVectors(
            body, self.pieces, self.pieces, pooling=self._pooling, normalise=side.normalise,
            identity={}, settings={"name": str(side.folder)}, batch_size=batch_size or _BATCH_SIZE,
        )  # fmt: skip
        self._top_k = int(read_json(side.head / "config.json").get("k", 0))
        self._table, self._centre, self._bias = _read_head(side.head, body.dimension)
        self.n_terms = len(self._table)
        if not 1 <= self._top_k <= self.n_terms:
            raise ModelError(f"{side.head}: k is {self._top_k}, expected 1 to {self.n_terms}")

    def identity(self) -> dict[str, Any]:
        """Return everything that shapes these vectors, as JSON values; hashes the weights."""
        return {
            **model_digests(self.side.folder),
            "head": sha256_of([self.side.head / WEIGHTS]),
            "pooling": self._pooling,
            "normalise": self.side.normalise,
            "k": self._top_k,
            "lowercase": self.side.lowercase,
            "max_length": self.pieces.max_length,
            "prompt": self.side.prompt,
        }

    def encode(self, ids: Sequence[NDArray[np.int64]]) -> SparseBatch:
        """Return the vectors of texts given as piece ids; texts without pieces get empty ones."""
        embeddings = self._embeddings.encode_ids(list(ids))
        rows = [
            self._row(embedding) if len(row) else SparseBatch.empty(1)
            for embedding, row in zip(embeddings, ids, strict=True)
        ]
        return SparseBatch.concatenate(rows)

    def _row(self, embedding: NDArray[np.float32]) -> SparseBatch:
        scores = self._table @ (embedding - self._centre) + self._bias
        largest = np.argpartition(-scores, self._top_k - 1)[: self._top_k]
        kept = np.sort(largest[scores[largest] > 0])
        return SparseBatch.of_lengths([len(kept)], kept.astype(np.uint32), scores[kept])


def _read_head(folder: Path, dimension: int) -> tuple[NDArray[np.float32], ...]:
    try:
        stored = load_file(folder / WEIGHTS)
        # The decoder is the encoder, transposed; a file holds one of them.
        name = "encoder.weight" if "encoder.weight" in stored else "decoder.linear.weight"
        table, centre, bias = (
            stored[key].astype(np.float32) for key in (name, "pre_bias", "latent_bias")
        )
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise ModelError(
            f"{folder / WEIGHTS}: cannot be read as a linear layer ({error})"
        ) from error
    if read_json(folder / "config.json").get("normalize"):
        raise ModelError(f"{folder}: a normalising SparseAutoEncoder is not supported")
    shapes = table.shape[1:], centre.shape, bias.shape
    if shapes != ((dimension,), (dimension,), table.shape[:1]):
        raise ModelError(f"{folder / WEIGHTS}: does not fit embeddings of {dimension} numbers")
    return table, centre, bias
