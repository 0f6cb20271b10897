"""Backbone: a language model separated from its output layer for training.

Masked language models can be loaded by `lsr.encoders`; decoder-only ones can be trained too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from lsr.encoders.neural.model_files import (
    ARCHITECTURES,
    check_architecture,
    find_model,
    weight_files,
)
from lsr.encoders.neural.splade_layout import read_layout
from lsr.encoders.neural.transformer_body import (
    TransformerBody,
    load_pretrained,
    load_tokenizer,
    quiet,
)
from lsr_training.models.low_rank import adapt, merged
from lsr_training.models.tokens import TokenBatch
from lsr_training.recipe.sections import LowRank

DECODERS = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
"""Architecture to its ``model_type``: decoder-only, with the output layer as last operation."""


class Backbone(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Transformer and its output layer, separated.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A language model; it is modified, and `whole` restores it temporarily.
    folder : Path
        Folder of the model and its tokenizer.
    """

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.is_decoder = model.config.model_type in DECODERS.values()
        self.decoder = model.get_output_embeddings()
        self.body = model
        self._cut()

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary, rows that pad it included."""
        return int(self.decoder.weight.shape[0])

    @property
    def n_hidden(self) -> int:
        """Size of the input of the output layer."""
        return int(self.decoder.weight.shape[1])

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        return TransformerBody(self.body, torch.device("cpu")).max_length

    @property
    def bias(self) -> Tensor:
        """Bias of the output layer, zeros where it has none."""
        bias = self.decoder.bias
        return self.decoder.weight.new_zeros(self.n_terms) if bias is None else bias

    def forward(self, tokens: TokenBatch) -> Tensor:
        """Return the input of the output layer: (n, length, n_hidden)."""
        states: Tensor = self.body(input_ids=tokens.ids, attention_mask=tokens.mask.long()).logits
        return states

    @contextmanager
    def whole(self) -> Iterator[Any]:
        """Restore the model with its output layer and trained weights while the context lasts."""
        with merged(self.body):
            self.body.set_output_embeddings(self.decoder)
            try:
                yield self.body
            finally:
                self._cut()

    def adapt(self, settings: LowRank) -> None:
        """Freeze the model and train low-rank matrices beside its layers."""
        self.requires_grad_(False)
        adapt(self.body, settings)

    def _cut(self) -> None:
        identity = nn.Identity()
        identity.bias = None
        self.body.set_output_embeddings(identity)


def load_backbone(name: str) -> tuple[Backbone, str]:
    """Load a transformer to train, in float32, and its tokenizer, in tokenizers' format.

    Parameters
    ----------
    name : str
        A folder or hub id: a masked language model, a SparseEncoder whose document side is one, or
        a decoder-only model.
    """
    folder = read_layout(find_model(name)).document.folder
    architecture = check_architecture(folder, {**ARCHITECTURES, **DECODERS})
    weight_files(folder)
    with quiet():
        model = load_pretrained(
            getattr(transformers, architecture),
            folder,
            torch.float32,
            "those of a language model with its head; choose another model",
        )
    tokenizer, _ = load_tokenizer(folder)
    return Backbone(model, folder), tokenizer
