"""Export: a folder that sentence-transformers, transformers and `lsr.encoders` load.

The transformer that makes document vectors lies in the root, where ``AutoModelForMaskedLM`` finds
it. Beside it, what sentence-transformers needs to make a SparseEncoder: with one network for both
sides a pooling, else a router with a route for queries. A folder is written beside its place and
moved there complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tokenizers import Tokenizer

from lsr.encoders.model_files import TOKENIZER_FILES
from training.card import model_card
from training.models import SparseModel
from training.models.backbone import Backbone, quiet
from training.models.sides import (
    MaskedLanguageSide,
    ProjectedTableSide,
    TokenTableSide,
)

POOLING, TABLE = "SpladePooling", "SparseStaticEmbedding"
_MODULES = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Router": "sentence_transformers.base.modules.router.Router",
    POOLING: "sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling",
    TABLE: "sentence_transformers.sparse_encoder.modules.sparse_static_embedding."
    "SparseStaticEmbedding",
}
HEADS = "lsr_heads.safetensors"


def export_model(model: SparseModel, folder: Path, facts: Mapping[str, Any]) -> bool:
    """Write a model.

    Parameters
    ----------
    model : SparseModel
    folder : Path
        Replaced when it exists.
    facts : mapping
        For the model card: recipe, sources, step, measurements.

    Returns
    -------
    bool
        Whether the folder describes the whole model to other programs. Term-weight heads and
        lexical restriction are known to none of them: their weights are written to
        ``lsr_heads.safetensors``, and only the transformer loads elsewhere.
    """
    beside = folder.with_name(folder.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    known = _write_sides(model, beside)
    (beside / "recipe.json").write_text(json.dumps(facts["recipe"], indent=2) + "\n")
    (beside / "README.md").write_text(model_card(facts, loads_elsewhere=known), encoding="utf-8")
    if folder.exists():
        aside = folder.with_name(folder.name + ".old")
        folder.rename(aside)
        beside.rename(folder)
        shutil.rmtree(aside)
    else:
        beside.rename(folder)
    return known


def _write_sides(model: SparseModel, folder: Path) -> bool:
    documents, queries = model.documents, model.queries
    lengths = model.section.max_length
    save_backbone(documents.backbone, folder, lengths.document)
    plain = isinstance(documents, MaskedLanguageSide) and not documents.head.lexical
    if plain and queries is documents and lengths.query == lengths.document:
        _write_pooling(documents, folder / f"1_{POOLING}")
        listed = [("", "Transformer"), (f"1_{POOLING}", POOLING)]
        _write_modules(folder, listed)
        return True
    if plain and isinstance(queries, TokenTableSide | ProjectedTableSide):
        route = _write_table(queries, documents.backbone, folder, lengths.query)
    elif plain and isinstance(queries, MaskedLanguageSide) and not queries.head.lexical:
        route = _write_query_network(queries, folder, lengths.query)
    else:
        heads = {k: v.contiguous() for k, v in model.state_dict().items() if ".weigh." in k}
        save_file(heads, folder / HEADS)
        return False
    _write_pooling(documents, folder / f"document_1_{POOLING}")
    _write_modules(folder, [("", "Router")])
    structure = {"query": route, "document": ["", f"document_1_{POOLING}"]}
    names = [name for names in structure.values() for name in names]
    types = {name: _MODULES[name.rpartition("_")[2] or "Transformer"] for name in names}
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    _write_json(
        folder / "router_config.json",
        {"types": types, "structure": structure, "parameters": parameters},
    )
    return True


def save_backbone(backbone: Backbone, folder: Path, max_length: int) -> None:
    """Write a transformer with its tokenizer, cut to a length."""
    folder.mkdir(parents=True, exist_ok=True)
    with quiet(), backbone.whole() as whole:
        whole.save_pretrained(folder)
    save_tokenizer(backbone.folder, folder, max_length)
    _write_json(
        folder / "sentence_bert_config.json",
        {
            "transformer_task": "fill-mask",
            "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
            "module_output_name": "token_embeddings",
        },
    )


def save_tokenizer(source: Path, folder: Path, max_length: int) -> None:
    """Write a tokenizer that cuts texts at a length and pads nothing unasked."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*TOKENIZER_FILES, "special_tokens_map.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    _write_json(path, {**config, "model_max_length": max_length, "max_length": max_length})
    if (folder / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(max_length)
        tokenizer.no_padding()
        tokenizer.save(str(folder / "tokenizer.json"))


def _write_table(
    side: TokenTableSide | ProjectedTableSide, backbone: Backbone, folder: Path, max_length: int
) -> list[str]:
    name = f"query_0_{TABLE}"
    save_tokenizer(backbone.folder, folder / name, max_length)
    table = side.table().detach().float().cpu().contiguous()
    save_file({"weight": table}, folder / name / "model.safetensors")
    _write_json(folder / name / "config.json", {"frozen": True})
    return [name]


def _write_query_network(side: MaskedLanguageSide, folder: Path, max_length: int) -> list[str]:
    names = ["query_0_Transformer", f"query_1_{POOLING}"]
    save_backbone(side.backbone, folder / names[0], max_length)
    _write_pooling(side, folder / names[1])
    return names


def _write_pooling(side: MaskedLanguageSide, folder: Path) -> None:
    content = {
        "pooling_strategy": side.head.pooling,
        "activation_function": side.head.activation,
        "embedding_dimension": side.backbone.n_terms,
    }
    _write_json(folder / "config.json", content)


def _write_modules(folder: Path, listed: list[tuple[str, str]]) -> None:
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": _MODULES[kind]}
        for i, (path, kind) in enumerate(listed)
    ]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2) + "\n")
    content = {
        "model_type": "SparseEncoder",
        "prompts": {"query": "", "document": ""},
        "default_prompt_name": None,
        "similarity_fn_name": "dot",
    }
    _write_json(folder / "config_sentence_transformers.json", content)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
