"""`SparseModel`: document and query side with their tokenizer; encodes texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsr.encoders.neural.word_pieces import WordPieces
from lsr.sparse import SparseBatch
from lsr_training.models.tokens import TokenBatch, pad
from lsr_training.recipe.sections import ModelSection


class SparseModel(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Two sides over one vocabulary.

    Attributes
    ----------
    documents, queries : nn.Module
        `TokenBatch` to (n, n_terms) tensor. May share a backbone, or be the same.
    document_pieces, query_pieces : WordPieces
        The tokenizer, cut to the length of each side.
    section : ModelSection
        What it was built from.
    n_terms : int
    """

    def __init__(
        self,
        documents: nn.Module,
        queries: nn.Module,
        tokenizer: str,
        section: ModelSection,
        n_terms: int,
    ) -> None:
        super().__init__()
        self.documents = documents
        self.queries = queries
        self.section = section
        self.n_terms = n_terms
        lengths = section.max_length
        self.document_pieces = WordPieces(tokenizer, max_length=lengths.document)
        self.query_pieces = WordPieces(tokenizer, max_length=lengths.query)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def encode(self, texts: Sequence[str], *, queries: bool, batch_size: int = 32) -> SparseBatch:
        """Encode texts without gradients, as the exported model does, a row for each.

        A text without a word has an empty vector.
        """
        side, pieces = self._side(queries)
        rows = pieces.encode(texts)
        order = sorted((i for i, row in enumerate(rows) if len(row)), key=lambda i: -len(rows[i]))
        parts = [SparseBatch.empty(0)]
        training = self.training
        self.eval()
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                tokens = pad([rows[i] for i in order[start : start + batch_size]])
                parts.append(_sparse(side(tokens.to(self.device))))
        self.train(training)
        found = SparseBatch.concatenate([*parts, SparseBatch.empty(1)])
        position = np.full(len(rows), len(order), np.int64)
        position[order] = np.arange(len(order))
        return found.select(position)

    def forward(self, tokens: TokenBatch, *, queries: bool) -> Tensor:
        """Return the vectors of one side: (n, n_terms) float32."""
        side, _ = self._side(queries)
        vectors: Tensor = side(tokens)
        return vectors

    def tokenize(self, texts: Sequence[str], *, queries: bool) -> list[NDArray[np.int64]]:
        """Return the piece ids of texts, cut to the length of their side."""
        return self._side(queries)[1].encode(texts)

    def _side(self, queries: bool) -> tuple[nn.Module, WordPieces]:
        if queries:
            return self.queries, self.query_pieces
        return self.documents, self.document_pieces


def _sparse(vectors: Tensor) -> SparseBatch:
    rows, terms = vectors.nonzero(as_tuple=True)
    counts = np.bincount(rows.cpu().numpy(), minlength=len(vectors))
    return SparseBatch(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        terms.cpu().numpy().astype(np.uint32),
        vectors[rows, terms].float().cpu().numpy(),
    )
