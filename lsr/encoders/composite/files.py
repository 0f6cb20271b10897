"""Composites as folders: ``composite.json`` names the parts and their weights.

```json
{"parts": [
  {"encoder": ".", "weight": 0.5, "mark": "~", "options": {"query_encoder": "idf", "top_k": 100}},
  {"encoder": "bm25"}
]}
```

With ``"languages": ["english"]`` beside the parts, texts said to be in another are refused. An
encoder is ``bm25``, ``.`` for the model in the folder itself, or the path of a model below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lsr.encoders.base import Encoder
from lsr.encoders.composite.encoder import CompositeEncoder, Part
from lsr.encoders.lexical import bm25
from lsr.encoders.neural.model_files import read_json
from lsr.errors import ModelError, UsageError

DESCRIPTION = "composite.json"
_KEYS = {"encoder", "weight", "mark", "options"}
_LEXICAL = {"language", "stopwords", "accents", "k1", "b"}
_NEURAL = {"query_encoder", "max_length", "top_k", "mass", "backend"}

Load = Callable[..., Encoder]


def is_composite(folder: Path) -> bool:
    """Tell whether a folder describes a composite."""
    return (folder / DESCRIPTION).is_file()


def load_composite(
    name: str, folder: Path, options: Mapping[str, Any], load_bm25: Load, load_model: Load
) -> CompositeEncoder:
    """Load the parts of a composite.

    Parameters
    ----------
    name : str
        What the composite was called, to find it again.
    folder : Path
    options : mapping
        Given by the caller; they go before those of the description, each to the parts it
        belongs to.
    load_bm25, load_model : callable
        Called with the options of a part; the latter with the name of the model first.

    Raises
    ------
    ModelError
        The description is malformed, or names what may not be loaded.
    UsageError
        An option is out of range, or parts do not fit each other.
    """
    path = folder / DESCRIPTION
    described = read_json(path)
    _check_language(name, path, described, options.get("language"))
    parts = described.get("parts")
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        raise ModelError(f"{path}: expected a list of parts")
    loaded = []
    for part in parts:
        unknown = sorted(part.keys() - _KEYS)
        if unknown or not isinstance(part.get("encoder"), str):
            raise ModelError(
                f"{path}: a part has the keys {', '.join(sorted(_KEYS))}; "
                f"found {', '.join(unknown) or 'no encoder'}"
            )
        encoder = part["encoder"]
        lexical = encoder == bm25.KIND
        taken = _LEXICAL if lexical else {*options} - _LEXICAL
        own = {**_described(path, part, lexical), **{k: options[k] for k in taken & {*options}}}
        if lexical:
            made = load_bm25(**own)
        else:
            made = load_model(_place(name, folder, encoder), **own)
        weight, mark = part.get("weight", 1.0), part.get("mark", "")
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise ModelError(f"{path}: the weight of a part is {weight!r}, expected a number")
        loaded.append(Part(made, float(weight), str(mark)))
    return CompositeEncoder(loaded)


def _check_language(
    name: str, path: Path, described: Mapping[str, Any], language: str | None
) -> None:
    known = described.get("languages")
    if known is not None and not isinstance(known, list):
        raise ModelError(f"{path}: languages is {known!r}, expected a list")
    if known and language is not None and language not in known:
        raise UsageError(
            f"language {language}: {name} was trained on {', '.join(map(str, known))} only; "
            f"use the encoder {bm25.KIND} with this language"
        )


def _described(path: Path, part: Mapping[str, Any], lexical: bool) -> dict[str, Any]:
    options = part.get("options", {})
    allowed = _LEXICAL if lexical else _NEURAL
    if not isinstance(options, dict) or not options.keys() <= allowed:
        raise ModelError(
            f"{path}: options of {part['encoder']}: expected some of {', '.join(sorted(allowed))}"
        )
    return dict(options)


def _place(name: str, folder: Path, encoder: str) -> str:
    """Accept the folder itself or one below it: the description is data from elsewhere."""
    if encoder == ".":
        return name
    if Path(encoder).is_absolute() or ".." in Path(encoder).parts:
        raise ModelError(f"{folder / DESCRIPTION}: {encoder!r} lies outside of the folder")
    if not (folder / encoder).is_dir():
        raise ModelError(f"{folder / DESCRIPTION}: {encoder!r} is no folder beside it")
    return str(folder / encoder)
