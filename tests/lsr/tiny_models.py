"""Masked language models small enough to be made on the spot, with seeded random weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

# Two threads that wait for each other cost more than such models compute.
torch.set_num_threads(1)

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"{a}{b}" for a in ("the", "man", "time", "new", "which") for b in ("", "s", "ly", "re")]
"""Twenty words, some of them the beginning of others."""

TEXTS = [
    "the man said that it was the first time",
    "new",
    "",
    "which of these times would you do newly",
    "they were all there when he made them new mans thely and his first times on the whichs",
    "a is it",
    " \n",
    "so manly of them can only be about time",
]
"""Of all lengths, two of them without a word."""


def save_tokenizer(folder: Path, *, lowercase: bool = True) -> None:
    """Write a tokenizer of whole words and ##letters."""
    letters = [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    vocabulary = {piece: i for i, piece in enumerate([*SPECIALS, *WORDS, *letters])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=32,
    )
    fast.save_pretrained(folder)


def n_words() -> int:
    """Size of the vocabulary of `save_tokenizer`."""
    return len(SPECIALS) + len(WORDS) + 26


def save_model(folder: Path, architecture: str = "BertForMaskedLM", seed: int = 0) -> Path:
    """Write a model of the architecture with random weights that activate some terms, not all."""
    torch.manual_seed(seed)
    cls = getattr(transformers, architecture)
    shifted = architecture.startswith(("Roberta", "XLMRoberta", "Camembert", "MPNet"))
    sizes = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 33 if shifted else 32,
        "pad_token_id": 0,
    }
    if architecture.startswith("DistilBert"):
        sizes = {"dim": 24, "n_layers": 2, "n_heads": 2, "hidden_dim": 32,
                 "max_position_embeddings": 32, "pad_token_id": 0}  # fmt: skip
    config = cls.config_class(vocab_size=n_words(), **sizes)
    model = cls(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
        model.get_output_embeddings().bias.normal_(-1, 1)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_sentence_transformers(
    folder: Path, *, pooling: str = "max", activation: str = "relu", **extra: object
) -> Path:
    """Write the layout of a SparseEncoder repository: transformer in the root, then a pooling."""
    save_model(folder)
    types = {
        "": "sentence_transformers.base.modules.transformer.Transformer",
        "1_SpladePooling": "sentence_transformers.sparse_encoder.models.SpladePooling",
    }
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": p, "type": t}
            for i, (p, t) in enumerate(types.items())
        ],
    )
    write_json(folder / "sentence_bert_config.json", {"transformer_task": "fill-mask", **extra})
    write_json(
        folder / "1_SpladePooling" / "config.json",
        {"pooling_strategy": pooling, "activation_function": activation},
    )
    return folder


def save_router(folder: Path, query: Sequence[str] = ("query_0_SparseStaticEmbedding",)) -> Path:
    """Write the layout of a SparseEncoder repository with a router, all but the query side."""
    write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "x.Router"}])
    save_model(folder / "document_0_MLMTransformer")
    write_json(folder / "document_1_SpladePooling" / "config.json", {})
    document = ["document_0_MLMTransformer", "document_1_SpladePooling"]
    write_json(
        folder / "router_config.json",
        {
            "types": {name: f"x.{name.rpartition('_')[2]}" for name in [*query, *document]},
            "structure": {"query": list(query), "document": document},
            "parameters": {"default_route": "document"},
        },
    )
    return folder


def write_json(path: Path, content: object) -> None:
    """Write JSON, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def edit_json(path: Path, **changes: object) -> None:
    """Change keys of a JSON object in a file."""
    write_json(path, {**json.loads(path.read_text()), **changes})
