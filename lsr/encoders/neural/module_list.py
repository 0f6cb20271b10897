"""The ``modules.json`` of a sentence-transformers repository, sparse or dense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from lsr.encoders.neural.model_files import read_json
from lsr.errors import ModelError

TRANSFORMER_CONFIGS = (
    "sentence_bert_config.json",
    "sentence_distilbert_config.json",
    "sentence_roberta_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_camembert_config.json",
)


class Prompts(NamedTuple):
    """What is put before queries and before documents; empty: nothing."""

    query: str
    document: str


def read_prompts(folder: Path) -> Prompts:
    """Return the prompts of a sentence-transformers repository.

    As its ``encode_query`` and ``encode_document`` apply them: by the names ``query`` and
    ``document``. It has an empty prompt under both names by default, so that neither ``passage`` or
    ``corpus`` nor ``default_prompt_name`` ever takes their place.
    """
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    return Prompts(str(prompts.get("query") or ""), str(prompts.get("document") or ""))


def module_entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a ``modules.json``."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ModelError(f"{path}: expected a list of modules")
    return entries


def class_name(qualified: Any) -> str:
    """Return the last part of a qualified name."""
    return str(qualified).rpartition(".")[2]


def path_within(folder: Path, path: Any) -> str:
    """Accept a path below the folder only: the description is data from elsewhere."""
    text = str(path or "")
    if Path(text).is_absolute() or ".." in Path(text).parts:
        raise ModelError(f"{folder}: a module lies at {text!r}, outside of the model's folder")
    return text
