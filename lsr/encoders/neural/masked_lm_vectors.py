"""`NeuralVectors`: sparse vectors by a masked language model, in batches. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural.model_files import check_architecture, model_digests
from lsr.encoders.neural.splade_layout import NeuralSide
from lsr.encoders.neural.torch_threads import run_batches
from lsr.encoders.neural.transformer_body import load_body, load_tokenizer
from lsr.encoders.neural.word_pieces import WordPieces, batches_by_length, input_length
from lsr.sparse import SparseBatch

BATCH_SIZE = {"cpu": 8, "cuda": 128}
"""Texts of full length in a batch. On a CPU a small batch keeps the activations in the cache."""


class NeuralVectors:
    """Sparse vectors by one transformer; options as in `lsr.encoders.neural.splade.load_splade`."""

    def __init__(
        self,
        side: NeuralSide,
        *,
        max_length: int | None,
        batch_size: int | None,
        device: str | None,
    ) -> None:
        check_architecture(side.folder)
        backend, limit = load_tokenizer(side.folder)
        special_ids = WordPieces(backend, max_length=8).special_ids.tolist()
        self._body, self._projection = load_body(
            side, special_ids if side.drop_specials else [], device
        )
        self.side = side
        self.pieces = WordPieces(
            backend,
            max_length=input_length(max_length, side.max_length or limit, self._body.max_length),
            prompt=side.prompt,
            lowercase=side.lowercase,
        )
        size = batch_size or BATCH_SIZE.get(self._body.device.type, 32)
        self._batch_tokens = size * self.pieces.max_length

    @property
    def n_terms(self) -> int:
        return self._projection.n_terms

    def identity(self) -> dict[str, Any]:
        """Return everything that shapes these vectors, as JSON values; hashes the weights."""
        return {
            **model_digests(self.side.folder),
            "pooling": self.side.pooling,
            "activation": self.side.activation,
            "special_tokens": "dropped" if self.side.drop_specials else "kept",
            "lowercase": self.side.lowercase,
            "max_length": self.pieces.max_length,
            "prompt": self.side.prompt,
        }

    def encode(self, ids: Sequence[NDArray[np.int64]]) -> SparseBatch:
        """Return the vectors of texts given as piece ids; texts without pieces get empty ones."""
        batches = batches_by_length(ids, self._batch_tokens)

        def encode_batch(rows: NDArray[np.int64]) -> SparseBatch:
            texts = [ids[row] for row in rows]
            return self._projection.vectors(self._body.states(texts), list(map(len, texts)))

        parts = run_batches(encode_batch, batches, self._body.device)
        order = np.concatenate([np.zeros(0, np.int64), *batches])
        position = np.full(len(ids), len(order))
        position[order] = np.arange(len(order))
        return SparseBatch.concatenate([*parts, SparseBatch.empty(1)]).select(position)
