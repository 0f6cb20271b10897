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
    """Return the prompts of a sentence-transformers repository, empty where it names none.

    ``encode_query`` and ``encode_document`` apply those named ``query`` and ``document``; neither
    ``passage`` nor ``default_prompt_name`` takes their place.
    """
    prompts = read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    return Prompts(str(prompts.get("query") or ""), str(prompts.get("document") or ""))


def read_modules(path: Path, folder: Path) -> list[tuple[str, Path]]:
    """Return class name and folder of each module of a ``modules.json``; raises ModelError."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ModelError(f"{path}: expected a list of modules")
    return [
        (class_name(entry.get("type")), folder / path_within(folder, entry.get("path")))
        for entry in entries
    ]


def read_limits(transformer: Path) -> tuple[int | None, bool]:
    """Return the maximum length of a Transformer module, and whether it lower-cases texts."""
    own = next(filter(None, (read_json(transformer / name) for name in TRANSFORMER_CONFIGS)), {})
    length = own.get("max_seq_length") or own.get("document_length")
    return length, bool(own.get("do_lower_case"))


def class_name(qualified: Any) -> str:
    """Return a class name without its module path."""
    return str(qualified).rpartition(".")[2]


def path_within(folder: Path, path: Any) -> str:
    """Return a path below the folder; raises ModelError: a description is foreign data."""
    text = str(path or "")
    if Path(text).is_absolute() or ".." in Path(text).parts:
        raise ModelError(f"{folder}: a module lies at {text!r}, outside of the model's folder")
    return text
