"""Export of the default model: weights, int8 graph, tables, tokenizer and configuration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lsr.encoders.neural.int8_files import ARCHITECTURE, IDF, MODEL_TYPE
from lsr.encoders.registry import DESCRIPTION
from lsr_training.default_model.int8_graph import Head, write_graph

MARK = "~"
LENGTH = 256
_KEPT = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
    "max_position_embeddings", "type_vocab_size", "vocab_size", "layer_norm_eps", "pad_token_id",
    "position_embedding_type",
)  # fmt: skip


def export_default(
    weights: Mapping[str, NDArray[Any]],
    config: Mapping[str, Any],
    smoothing: Mapping[str, NDArray[np.float32]],
    head: Head,
    table: NDArray[np.float32],
    tokenizer: str,
    recipe: Mapping[str, Any],
    folder: Path,
) -> None:
    """Write the model folder.

    Parameters
    ----------
    weights, config, smoothing, head
        As for `write_graph`.
    table : (n_terms,) float32
        Inverse document frequencies of the training documents: query weights for programs without
        statistics of a collection.
    tokenizer : str
        In the format of the tokenizers library.
    recipe : mapping
        Contents of ``recipe.json``.
    folder : Path
        Replaced when it exists; its card stays.
    """
    card = folder / "README.md"
    kept = card.read_text(encoding="utf-8") if card.is_file() else None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_graph(weights, config, smoothing, head, folder, more={IDF: table})
    pieces = Tokenizer.from_str(tokenizer)
    pieces.no_padding()
    pieces.enable_truncation(LENGTH)
    pieces.save(str(folder / "tokenizer.json"), pretty=False)
    described = {key: config[key] for key in _KEPT if key in config}
    ours = {"architectures": [ARCHITECTURE], "model_type": MODEL_TYPE, "top_k": head.top_k}
    options = {"query_encoder": "idf", "top_k": head.top_k}
    parts = [{"encoder": ".", "mark": MARK, "options": options}, {"encoder": "bm25"}]
    contents = {
        "config.json": described | ours,
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": LENGTH,
            "cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]",
            "sep_token": "[SEP]", "unk_token": "[UNK]",
        },
        DESCRIPTION: {"languages": ["english"], "parts": parts},
        "recipe.json": recipe,
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if kept is not None:
        card.write_text(kept, encoding="utf-8")
