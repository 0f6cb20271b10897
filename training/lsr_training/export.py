"""Export of a model to a folder that sentence-transformers, transformers and `lsr.encoders` load.

The document transformer is in the root, where ``AutoModelForMaskedLM`` finds it, with the modules
of a sentence-transformers SparseEncoder: a pooling if one network serves both sides, else a router
with a route for queries. The folder is written under a temporary name and then renamed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from lsr.encoders.base import CollectionStatistics
from lsr.encoders.neural.model_files import TOKENIZER_FILES
from lsr.encoders.neural.transformer_body import quiet
from lsr.errors import ModelError
from lsr.files import fresh_folder
from lsr_training.card import model_card
from lsr_training.models import SparseModel, build_model
from lsr_training.models.backbone import Backbone
from lsr_training.models.sides import MaskedLanguageSide, TableSide
from lsr_training.recipe.sections import ModelSection

POOLING, TABLE = "SpladePooling", "SparseStaticEmbedding"
_MODULES = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Router": "sentence_transformers.base.modules.router.Router",
    POOLING: "sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling",
    TABLE: "sentence_transformers.sparse_encoder.modules.sparse_static_embedding."
    "SparseStaticEmbedding",
}
HEADS = "lsr_heads.safetensors"
QUERY_NETWORK = "query_0_Transformer"


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
        Whether other programs load the whole model. They do not support term-weight heads and
        lexical restriction: of such models they load the transformer, and `load_heads` reads the
        rest.
    """
    with fresh_folder(folder) as beside:
        known = _write_sides(model, beside)
        (beside / "recipe.json").write_text(json.dumps(facts["recipe"], indent=2) + "\n")
        card = model_card(facts, loads_elsewhere=known)
        (beside / "README.md").write_text(card, encoding="utf-8")
        _replace(folder, beside)
    return known


def _replace(folder: Path, made: Path) -> None:
    """Put a folder that was made beside another into its place."""
    with fresh_folder(folder) as aside:
        former = aside / folder.name
        if folder.exists():
            folder.rename(former)
        try:
            made.rename(folder)
        except OSError:
            if former.exists():
                former.rename(folder)
            raise


def _write_sides(model: SparseModel, folder: Path) -> bool:
    documents, queries = model.documents, model.queries
    lengths = model.section.max_length
    save_backbone(documents.backbone, folder, lengths.document)
    plain = _known_elsewhere(documents)
    if plain and queries is documents and lengths.query == lengths.document:
        _write_pooling(documents, folder / f"1_{POOLING}")
        _write_modules(folder, [("", "Transformer"), (f"1_{POOLING}", POOLING)])
        return True
    if plain and isinstance(queries, TableSide):
        route = _write_table(queries, documents.backbone, folder, lengths.query)
    elif plain and _known_elsewhere(queries):
        route = _write_query_network(queries, folder, lengths.query)
    else:
        _write_heads(model, folder)
        return False
    _write_pooling(documents, folder / f"document_1_{POOLING}")
    _write_modules(folder, [("", "Router")])
    structure = {"query": route, "document": ["", f"document_1_{POOLING}"]}
    names = [name for names in structure.values() for name in names]
    types = {name: _MODULES[name.rpartition("_")[2] or "Transformer"] for name in names}
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    content = {"types": types, "structure": structure, "parameters": parameters}
    _write_json(folder / "router_config.json", content)
    return True


def _known_elsewhere(side: Any) -> bool:
    """Whether a side is a Transformer with a SpladePooling in sentence-transformers."""
    return (
        isinstance(side, MaskedLanguageSide)
        and not (side.head.lexical or side.head.echo)
        and not side.backbone.is_decoder
    )


def load_heads(folder: Path) -> SparseModel:
    """Load a model with heads that other programs do not support: `export_model` gave False."""
    content = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["model"]
    content["backbone"] = str(folder)
    content["document"].pop("backbone", None)
    # What it learned was put into the weights.
    content.pop("lora", None)
    if (folder / QUERY_NETWORK).is_dir():
        content["query"]["backbone"] = str(folder / QUERY_NETWORK)
    if content["query"]["head"] == "tokens":
        # Whatever made the table, its values come with the heads.
        content["query"] = {"head": "tokens", "table": "learned"}
    # The table comes with the heads: nothing is counted for it.
    model = build_model(ModelSection.model_validate(content), lambda pieces: CollectionStatistics())
    heads = load_file(folder / HEADS)
    if model.queries is model.documents:
        heads.update({k.replace("documents.", "queries.", 1): v for k, v in heads.items()})
    _, unexpected = model.load_state_dict(heads, strict=False)
    if unexpected:
        raise ModelError(f"{folder / HEADS}: holds {unexpected[0]}, which the model does not have")
    return model


def _write_heads(model: SparseModel, folder: Path) -> None:
    heads = {k: v.contiguous() for k, v in model.state_dict().items() if ".weigh." in k}
    if model.queries is model.documents:
        heads = {k: v for k, v in heads.items() if k.startswith("documents.")}
    if isinstance(model.queries, TableSide):
        heads["queries.weights"] = model.queries.table().detach().contiguous()
    own = getattr(model.queries, "backbone", None)
    if own is not None and own is not model.documents.backbone:
        save_backbone(own, folder / QUERY_NETWORK, model.section.max_length.query)
    save_file(heads, folder / HEADS)


def save_backbone(backbone: Backbone, folder: Path, max_length: int) -> None:
    """Write a transformer with its tokenizer, which truncates at a length."""
    folder.mkdir(parents=True, exist_ok=True)
    with quiet(), backbone.whole() as whole:
        whole.save_pretrained(folder)
    save_tokenizer(backbone.folder, folder, max_length)
    if backbone.is_decoder:
        return
    _write_json(
        folder / "sentence_bert_config.json",
        {
            "transformer_task": "fill-mask",
            "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
            "module_output_name": "token_embeddings",
        },
    )


def save_tokenizer(source: Path, folder: Path, max_length: int) -> None:
    """Write a tokenizer that truncates at a length and does not pad by default."""
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


def _write_table(side: TableSide, backbone: Backbone, folder: Path, max_length: int) -> list[str]:
    name = f"query_0_{TABLE}"
    save_tokenizer(backbone.folder, folder / name, max_length)
    table = side.table().detach().float().cpu().contiguous()
    save_file({"weight": table}, folder / name / "model.safetensors")
    _write_json(folder / name / "config.json", {"frozen": True})
    return [name]


def _write_query_network(side: MaskedLanguageSide, folder: Path, max_length: int) -> list[str]:
    names = [QUERY_NETWORK, f"query_1_{POOLING}"]
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
    _write_json(folder / "modules.json", modules)
    content = {
        "model_type": "SparseEncoder",
        "prompts": {"query": "", "document": ""},
        "default_prompt_name": None,
        "similarity_fn_name": "dot",
    }
    _write_json(folder / "config_sentence_transformers.json", content)


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
