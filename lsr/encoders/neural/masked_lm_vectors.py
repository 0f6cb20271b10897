"""`NeuralVectors`: texts to sparse vectors with a masked language model, in batches.

Importing this module loads no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural.model_files import (
    check_architecture,
    config_sha256,
    tokenizer_sha256,
    weights_sha256,
)
from lsr.encoders.neural.splade_layout import NeuralSide
from lsr.encoders.neural.torch_threads import run_batches
from lsr.encoders.neural.transformer_body import load_body, load_tokenizer
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import UsageError
from lsr.sparse import SparseBatch

BATCH_SIZE = {"cpu": 8, "cuda": 128}
"""Texts of full length in a batch. On a CPU a small batch keeps the activations in the cache."""


class NeuralVectors:
    """Texts to vectors with one transformer.

    Parameters
    ----------
    side : NeuralSide
        What to load and how to pool.
    max_length : int, optional
        Pieces kept of a text, instead of the model's own limit.
    batch_size : int, optional
        Texts of full length in a batch; shorter texts are batched up to as many tokens.
    device : str, optional
        A torch device.
    """

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
            max_length=_length(max_length, side.max_length or limit, self._body.max_length),
            prompt=side.prompt,
            lowercase=side.lowercase,
        )
        size = batch_size or BATCH_SIZE.get(self._body.device.type, 32)
        self._batch_tokens = size * self.pieces.max_length

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self._projection.n_terms

    def identity(self) -> dict[str, Any]:
        """Return everything that shapes these vectors, as JSON values; hashes the weights."""
        return {
            "model": weights_sha256(self.side.folder),
            "architecture": config_sha256(self.side.folder),
            "tokenizer": tokenizer_sha256(self.side.folder),
            "pooling": self.side.pooling,
            "activation": self.side.activation,
            "special_tokens": "dropped" if self.side.drop_specials else "kept",
            "lowercase": self.side.lowercase,
            "max_length": self.pieces.max_length,
            "prompt": self.side.prompt,
        }

    def encode(self, ids: Sequence[NDArray[np.int64]]) -> SparseBatch:
        """Return the vectors of texts given as piece ids; texts without pieces get empty ones."""
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        batches = [order[cut] for cut in _batches(lengths[order], self._batch_tokens)]

        def encode_batch(rows: NDArray[np.int64]) -> SparseBatch:
            states = self._body.states([ids[row] for row in rows])
            return self._projection.vectors(states, lengths[rows].tolist())

        parts = run_batches(encode_batch, batches, self._body.device)
        position = np.empty(len(ids), np.int64)
        position[order] = np.arange(len(order))
        position[lengths == 0] = len(order)
        return SparseBatch.concatenate([*parts, SparseBatch.empty(1)]).select(position)


def _batches(lengths: NDArray[np.int64], tokens: int) -> list[slice]:
    """Cut texts, longest first, into runs that fill at most `tokens` once padded."""
    cuts, start = [], 0
    while start < len(lengths):
        end = min(start + max(1, tokens // int(lengths[start])), len(lengths))
        cuts.append(slice(start, end))
        start = end
    return cuts


def _length(asked: int | None, usual: int | None, longest: int) -> int:
    if asked is None:
        return min(usual or longest, longest)
    if not 3 <= asked <= longest:
        raise UsageError(f"max_length = {asked}: expected 3 to {longest}, what the model can take")
    return asked
