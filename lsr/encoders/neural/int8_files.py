"""Int8 models, and their conversion to floats for programs that read no others.

Such a model is a graph, ``encoder-int8.onnx``, that names places in ``model.safetensors``;
``lsr_training.default_model.int8_graph`` writes both. Its floats are those numbers times their
scales; the graph also rounds the inputs of products, which floats do not.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from lsr.encoders.neural.model_files import WEIGHTS, read_json
from lsr.errors import ModelError, UsageError
from lsr.files import fresh_folder

ARCHITECTURE, MODEL_TYPE = "Int8SparseEncoder", "lsr-int8"
IDF = "queries.idf"
_MODULES = "sentence_transformers."
_TYPES = {
    "": "base.modules.transformer.Transformer",
    "document_1_Pooling": "sentence_transformer.modules.pooling.Pooling",
    "document_2_Normalize": "sentence_transformer.modules.normalize.Normalize",
    "document_3_SparseAutoEncoder": "sparse_encoder.modules.sparse_auto_encoder.SparseAutoEncoder",
    "query_0_SparseStaticEmbedding": "sparse_encoder.modules.sparse_static_embedding."
    "SparseStaticEmbedding",
}
_LAYER = re.compile(r"(encoder\.layer\.\d+)\.")

Arrays = dict[str, NDArray[Any]]


def is_int8(folder: Path) -> bool:
    """Tell whether a model's folder stores int8 numbers only."""
    return read_json(folder / "config.json").get("model_type") == MODEL_TYPE


def export_floats(folder: Path, out: Path) -> None:
    """Write an int8 model as a SparseEncoder folder of sentence-transformers, in float32.

    Raises UsageError where `out` exists, ModelError for a damaged folder or another model.
    """
    if out.exists():
        raise UsageError(f"{out} exists; name a folder that does not")
    if not is_int8(folder):
        raise ModelError(f"{folder}: stores floats already; copy the folder")
    try:
        stored = load_file(folder / WEIGHTS)
        body, head = _body(stored), _head(stored)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS}: cannot be read as int8 weights ({error})") from error
    with fresh_folder(out) as beside:
        for name in _TYPES:
            (beside / name).mkdir(parents=True, exist_ok=True)
        config = read_json(folder / "config.json")
        for place, arrays in (
            ("", body),
            ("document_3_SparseAutoEncoder", head),
            ("query_0_SparseStaticEmbedding", {"weight": stored[IDF]}),
        ):
            (beside / place / WEIGHTS).write_bytes(save(arrays, metadata={"format": "pt"}))
        for side in (beside, beside / "query_0_SparseStaticEmbedding"):
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copyfile(folder / name, side / name)
        for name, content in _descriptions(folder, config, head, int(config["top_k"])).items():
            (beside / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        beside.rename(out)


def _descriptions(folder: Path, config: dict[str, Any], head: Arrays, top_k: int) -> dict[str, Any]:
    ours = {"architectures": ["BertModel"], "model_type": "bert"}
    n_terms, n_hidden = head["decoder.linear.weight"].shape
    length = read_json(folder / "tokenizer_config.json").get("model_max_length")
    prompts = {"query": "", "document": ""}
    documents = [name for name in _TYPES if not name.startswith("query")]
    structure = {"query": ["query_0_SparseStaticEmbedding"], "document": documents}
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    return {
        "config.json": {k: v for k, v in config.items() if k != "top_k"} | ours,
        "sentence_bert_config.json": {
            "max_seq_length": length,
            "do_lower_case": False,
            # The mean of the tokens is taken; a pooler would be random, and reported as missing.
            "model_args": {"add_pooling_layer": False},
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": _MODULES + "base.modules.router.Router"}
        ],
        "config_sentence_transformers.json": {
            "model_type": "SparseEncoder",
            "prompts": prompts,
            "default_prompt_name": None,
            "similarity_fn_name": "dot",
        },
        "router_config.json": {
            "types": {name: _MODULES + kind for name, kind in _TYPES.items()},
            "structure": structure,
            "parameters": parameters,
        },
        "document_1_Pooling/config.json": {
            "embedding_dimension": n_hidden,
            "pooling_mode": "mean",
            "include_prompt": True,
        },
        "document_3_SparseAutoEncoder/config.json": {
            "input_dim": n_hidden,
            "hidden_dim": n_terms,
            "k": top_k,
            "k_aux": 512,
            "normalize": False,
            "dead_threshold": 30,
        },
        "query_0_SparseStaticEmbedding/config.json": {"frozen": True},
    }


def _body(stored: Arrays) -> Arrays:
    """Return the weights of a BERT, under the names of transformers."""
    positions = stored["embeddings.positions"].astype(np.float32)
    made = {
        "embeddings.word_embeddings.weight": _unpack_int4(
            stored["embeddings.words.int4"], stored["embeddings.words.scale"]
        ),
        # What the one segment adds is part of the positions.
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": np.zeros((2, positions.shape[1]), np.float32),
    }
    for name, values in stored.items():
        stem, _, kind = name.rpartition(".")
        if "LayerNorm" in name:
            made[name] = values
        elif _LAYER.match(name) and kind == "int8":
            matrix = _matrix(stored, stem)
            if not stem.endswith("self"):
                made |= {f"{stem}.weight": matrix, f"{stem}.bias": stored[f"{stem}.bias"]}
                continue
            biases = np.split(stored[f"{stem}.bias"], 3)
            for part, weight, bias in zip(
                ("query", "key", "value"), np.split(matrix, 3), biases, strict=True
            ):
                made |= {f"{stem}.{part}.weight": weight, f"{stem}.{part}.bias": bias}
    return {name: np.ascontiguousarray(values) for name, values in made.items()}


def _head(stored: Arrays) -> Arrays:
    """Return the weights of a SparseAutoEncoder: its decoder is the encoder, transposed."""
    n_terms = len(stored["embeddings.words.int4"])
    table = np.zeros((n_terms, stored["head.reduced"].shape[0]), np.float32)
    table[stored["head.term_ids"]] = _matrix(stored, "head.terms") @ stored["head.reduced"].T
    bias = np.zeros(n_terms, np.float32)
    bias[stored["head.term_ids"]] = stored["head.terms.bias"]
    return {
        "pre_bias": stored["head.centre"],
        "decoder.linear.weight": table,
        "latent_bias": bias,
        "stats_last_nonzero": np.zeros(n_terms, np.int64),
    }


def _matrix(stored: Arrays, stem: str) -> NDArray[np.float32]:
    """Return a matrix as (outputs, inputs), the smoothing of its inputs taken back."""
    matrix = stored[f"{stem}.int8"].astype(np.float32) * stored[f"{stem}.scale"]
    smoothing = stored.get(f"{stem}.smoothing")
    if smoothing is not None:
        matrix *= smoothing[:, None]
    return np.asarray(matrix.T)


def _unpack_int4(packed: NDArray[np.uint8], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    steps = np.hstack([packed & 15, packed >> 4]).astype(np.float32) - 8
    blocks = steps.reshape(*scale.shape[:2], -1) * scale.reshape(*scale.shape[:2], 1)
    return blocks.reshape(steps.shape).astype(np.float32)
