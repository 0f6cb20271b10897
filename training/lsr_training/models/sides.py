"""Sides: modules that make sparse vectors of texts, one for each kind of head.

Every side takes a `TokenBatch` and returns an (n, n_terms) tensor, at least 0 everywhere. Its
`special_ids`, an int64 tensor, never count as pieces of a text.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lsr_training.activations import ACTIVATIONS
from lsr_training.models.backbone import Backbone
from lsr_training.models.pooling import max_pool, sum_pool
from lsr_training.models.tokens import TokenBatch, echoed, presence
from lsr_training.recipe.sections import MaskedLanguageHead, TermWeightHead


class MaskedLanguageSide(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Pooled logits of a masked language model: SPLADE.

    ``log(1 + relu(W h_t + b))``, summed over the tokens (Formal et al., SIGIR 2021, §3.1,
    equations 1-2) or their maximum (SPLADE v2, arXiv 2109.10086, §3.1, equation 6).
    """

    def __init__(self, backbone: Backbone, special_ids: Tensor, head: MaskedLanguageHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.register_buffer("special_ids", special_ids, persistent=False)

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Return the vectors."""
        read, pooled = echoed(tokens) if self.head.echo else (tokens, tokens.mask)
        states, weight = self.backbone(read), self.backbone.decoder.weight
        activation = ACTIVATIONS[self.head.activation]
        if self.head.pooling == "max":
            vectors = activation(max_pool(states, pooled, weight, self.backbone.bias))
        else:
            vectors = sum_pool(states, pooled, weight, self.backbone.bias, activation)
        if self.head.lexical:
            vectors = vectors * presence(tokens, self.backbone.n_terms, self.special_ids)
        return vectors.float()


class LexicalSide(nn.Module):  # type: ignore[misc]
    """Vectors of another side, restricted to the pieces of the text: SPLADE-v3-Lexical."""

    def __init__(self, side: MaskedLanguageSide) -> None:
        super().__init__()
        self.side = side

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Return the vectors."""
        held = presence(tokens, self.side.backbone.n_terms, self.side.special_ids)
        vectors: Tensor = self.side(tokens) * held
        return vectors


class TermWeightSide(nn.Module):  # type: ignore[misc]
    """Weights of the pieces of a text, by a small network on their states.

    One layer, maximum over repeats: uniCOIL (Lin and Ma, arXiv 2106.14807), §2. Two layers, first
    occurrence: the manner of DeepImpact (Mallia et al., SIGIR 2021), §3, on pieces, not words.
    """

    def __init__(self, backbone: Backbone, special_ids: Tensor, head: TermWeightHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.register_buffer("special_ids", special_ids, persistent=False)
        hidden = [nn.Linear(backbone.n_hidden, backbone.n_hidden), nn.ReLU()]
        last = nn.Linear(backbone.n_hidden, 1)
        # All weights start near 1: behind the ReLU, one below 0 would have no gradient.
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.constant_(last.bias, 1.0)
        self.weigh = nn.Sequential(*(hidden if head.layers == 2 else []), last, nn.ReLU())

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Return the vectors."""
        weights = self.weigh(self.backbone(tokens)).squeeze(2).float()
        real = tokens.mask & ~torch.isin(tokens.ids, self.special_ids)
        if self.head.occurrence == "first":
            real = real & ~_repeated(tokens.ids)
        vectors = weights.new_zeros((len(weights), self.backbone.n_terms))
        return vectors.scatter_reduce(1, tokens.ids, weights * real, "amax")


def _repeated(ids: Tensor) -> Tensor:
    """Return where an id occurred earlier in its row: (n, length) bool."""
    same = ids[:, :, None] == ids[:, None, :]
    return same.tril(-1).any(dim=2)


class TableSide(nn.Module):  # type: ignore[misc]
    """Inference-free queries: ``q_j = table_j`` for the pieces a text holds, each once.

    Geng et al. (arXiv 2411.04403), §3; with a table of ones SPLADE-doc (arXiv 2109.10086, §3.1).
    """

    def __init__(self, special_ids: Tensor) -> None:
        super().__init__()
        self.register_buffer("special_ids", special_ids, persistent=False)

    def term_weights(self) -> Tensor:
        """Return the weight of each term, at least 0: (n_terms,)."""
        raise NotImplementedError

    def table(self) -> Tensor:
        """Return the weight of each term, special tokens 0: (n_terms,)."""
        return self.term_weights().index_fill(0, self.special_ids, 0.0)

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Return the vectors."""
        table = self.table()
        return presence(tokens, len(table), self.special_ids) * table


class TokenTableSide(TableSide):
    """Table of query weights as numbers, frozen or `learned`: trained, kept above 0 by a ReLU."""

    def __init__(self, table: Tensor, special_ids: Tensor, *, learned: bool) -> None:
        super().__init__(special_ids)
        if learned:
            self.weights = nn.Parameter(table.clone())
        else:
            self.register_buffer("weights", table.clone())

    def term_weights(self) -> Tensor:
        """Return the numbers."""
        return self.weights.relu()


class ProjectedTableSide(TableSide):
    """Table of query weights as a trained linear map of token embeddings, then softplus.

    As in Li-LSR (Nardini et al., "Effective Inference-Free Retrieval for Learned Sparse
    Representations", SIGIR 2025). The embeddings themselves get no gradient from it.
    """

    def __init__(self, backbone: Backbone, special_ids: Tensor) -> None:
        super().__init__(special_ids)
        embeddings = backbone.body.get_input_embeddings().weight.detach().clone()
        self.register_buffer("embeddings", embeddings)
        self.projection = nn.Linear(embeddings.shape[1], 1)
        nn.init.constant_(self.projection.bias, 1.0)

    def term_weights(self) -> Tensor:
        """Return the softplus of the projection."""
        return nn.functional.softplus(self.projection(self.embeddings)).squeeze(1).float()
