"""Gradient of one batch, computed in chunks.

Texts go through the network in chunks of similar length. The loss needs all vectors at once, but
the network does not: the loss is differentiated with respect to the vectors, and each chunk then
with respect to the weights. With `grad_cache` a chunk's graph is not kept but made again (Gao et
al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", arXiv 2101.06983),
with the same random numbers, so the gradient is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsr_training.data import Batch
from lsr_training.models import SparseModel
from lsr_training.models.tokens import pad
from lsr_training.recipe.schema import Recipe
from lsr_training.trainer.devices import Devices
from lsr_training.trainer.objective import Objective
from lsr_training.trainer.randomness import RandomState, random_state, restored


@dataclass
class _Chunk:
    """Texts encoded together: their rows, pieces and vectors."""

    rows: NDArray[np.int64]
    pieces: Sequence[NDArray[np.int64]]
    queries: bool
    randomness: RandomState
    vectors: Tensor | None = None


class BatchGradient:
    """Computes gradients of batches and adds them to the parameters' own."""

    def __init__(
        self, model: SparseModel, objective: Objective, recipe: Recipe, devices: Devices
    ) -> None:
        self._model = model
        self._objective = objective
        self._recipe = recipe
        self._devices = devices

    def add(self, batch: Batch, step: int, share: float) -> tuple[dict[str, float], Tensor, Tensor]:
        """Add ``share`` times the gradient of a batch.

        Returns the parts of the loss, and the detached vectors of queries and documents: (n,
        n_terms) and (m, n_terms).
        """
        query_chunks, queries = self._encode(batch.queries, queries=True)
        document_chunks, documents = self._encode(batch.documents, queries=False)
        parts = self._objective(queries, documents, batch, step)
        values = {name: float(part.detach()) for name, part in parts.items()}
        total = share * torch.stack(list(parts.values())).sum()
        if all(np.isfinite(value) for value in values.values()):
            total.backward()
            self._backward(query_chunks, queries, len(batch.queries))
            self._backward(document_chunks, documents, len(batch.documents))
        return values, queries.detach(), documents.detach()

    def _encode(self, texts: Sequence[str], *, queries: bool) -> tuple[list[_Chunk], Tensor]:
        """Return this device's chunks, and the vectors of all texts as a leaf."""
        share = self._devices.share(len(texts))
        pieces = self._model.tokenize(texts[share], queries=queries)
        # A text without pieces gets one token: no row of a batch may be empty.
        pieces = [row if len(row) else np.zeros(1, np.int64) for row in pieces]
        order = np.argsort([-len(row) for row in pieces], kind="stable")
        chunks = []
        local = torch.zeros((len(pieces), self._model.n_terms), device=self._devices.device)
        size = self._recipe.batch.chunk
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            chunk = _Chunk(rows, [pieces[row] for row in rows], queries, random_state())
            with torch.no_grad() if self._recipe.batch.grad_cache else nullcontext():
                vectors = self._forward(chunk)
            if not self._recipe.batch.grad_cache:
                chunk.vectors = vectors
            local[torch.from_numpy(rows)] = vectors.detach()
            chunks.append(chunk)
        return chunks, self._devices.gather(local, len(texts)).requires_grad_()

    def _forward(self, chunk: _Chunk) -> Tensor:
        device = self._devices.device
        tokens = pad(chunk.pieces).to(device)
        precision: Any = nullcontext()
        if self._recipe.precision == "bf16":
            precision = torch.autocast(device.type, dtype=torch.bfloat16)
        with precision:
            vectors: Tensor = self._model(tokens, queries=chunk.queries)
        return vectors.float()

    def _backward(self, chunks: Sequence[_Chunk], vectors: Tensor, n: int) -> None:
        if vectors.grad is None:
            return
        local = vectors.grad[self._devices.share(n)]
        for chunk in chunks:
            flow = local[torch.from_numpy(chunk.rows).to(local.device)]
            if chunk.vectors is None:
                with restored(chunk.randomness):
                    again = self._forward(chunk)
                if again.requires_grad:
                    again.backward(flow)
            elif chunk.vectors.requires_grad:
                chunk.vectors.backward(flow)
                chunk.vectors = None
