"""Composites as folders: ``composite.json`` names the parts and their weights.

```json
{"parts": [
  {"encoder": ".", "weight": 0.5, "mark": "~", "options": {"query_encoder": "idf", "top_k": 100}},
  {"encoder": "bm25"}
]}
```

With ``"languages": ["english"]`` beside the parts, texts said to be in another are refused. An
encoder is the name of a kind that is loaded by its name (``bm25``, a registered one), ``.`` for the
model in the folder itself, or the path of a model below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lsr.encoders.base import Encoder
from lsr.encoders.composite.parts import KIND, Part
from lsr.encoders.kinds import Kind
from lsr.encoders.neural.model_files import find_model, read_json
from lsr.encoders.options import Option
from lsr.encoders.registry import DESCRIPTION, ENCODERS
from lsr.errors import ModelError, UsageError

_KEYS = {"encoder", "weight", "mark", "options"}


class DescribedPart(NamedTuple):
    """A part as ``composite.json`` describes it: `encoder` as written, its model's folder where it
    has one, the options that its kind accepts, and those of the description, checked.
    """

    kind: Kind[type[Encoder]]
    encoder: str
    folder: Path | None
    accepted: tuple[Option, ...]
    options: Mapping[str, Any]
    weight: float
    mark: str


def read_parts(folder: Path) -> list[DescribedPart]:
    """Read the parts in a folder's description, without loading them; raises ModelError."""
    path = folder / DESCRIPTION
    parts = read_json(path).get("parts")
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        raise ModelError(f"{path}: expected a list of parts")
    return [_described(path, part) for part in parts]


def options_of(folder: Path) -> tuple[Option, ...]:
    """Return the options that some part of a composite takes, each once; raises ModelError."""
    every = (option for part in read_parts(folder) for option in part.accepted)
    return tuple({option.name: option for option in every}.values())


def load_parts(name: str, folder: Path, options: Mapping[str, Any]) -> list[Part[Encoder]]:
    """Load the parts of a composite; raises ModelError, or UsageError for an option.

    Each of `options` goes to the parts that take it, in place of the description's. `name` is what
    the composite was called, to find it again.
    """
    _check_language(name, folder / DESCRIPTION, options.get("language"))
    loaded = []
    for part in read_parts(folder):
        taken = {option.name for option in part.accepted} & options.keys()
        own = {**part.options, **{key: options[key] for key in taken}}
        # The folder's own model keeps the composite's name: a hub id is found again on any machine.
        called = name if part.folder in (None, folder) else str(part.folder)
        called = part.encoder if part.folder is None else called
        made = part.kind.cls.load(called, part.folder, **own)
        loaded.append(Part(made, part.weight, part.mark))
    return loaded


def _described(path: Path, part: Mapping[str, Any]) -> DescribedPart:
    unknown = sorted(part.keys() - _KEYS)
    encoder = part.get("encoder")
    if unknown or not isinstance(encoder, str):
        raise ModelError(
            f"{path}: a part has the keys {', '.join(sorted(_KEYS))}; "
            f"found {', '.join(unknown) or 'no encoder'}"
        )
    named = ENCODERS.get(encoder) if encoder.isprintable() and "/" not in encoder else None
    if named is not None and named.by_name:
        kind, folder = named, None
    else:
        folder = _folder(path, encoder)
        kind = ENCODERS.kind_of_folder(folder, but=KIND)
    accepted = kind.options_of(folder)
    weight, mark = part.get("weight", 1.0), part.get("mark", "")
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ModelError(f"{path}: the weight of a part is {weight!r}, expected a number")
    options = _checked_options(path, encoder, part.get("options", {}), accepted)
    return DescribedPart(kind, encoder, folder, accepted, options, float(weight), str(mark))


def _folder(path: Path, encoder: str) -> Path:
    """Return the folder itself or one below it; the description is data from elsewhere."""
    if Path(encoder).is_absolute() or ".." in Path(encoder).parts:
        raise ModelError(f"{path}: {encoder!r} lies outside of the folder")
    folder = path.parent / encoder
    if not folder.is_dir():
        raise ModelError(
            f"{path}: {encoder!r} is no folder beside it, and no kind of encoder; kinds are "
            f"{', '.join(kind.name for kind in ENCODERS.kinds() if kind.by_name)}"
        )
    return find_model(folder)


def _checked_options(
    path: Path, encoder: str, options: Any, accepted: tuple[Option, ...]
) -> dict[str, Any]:
    known = {option.name: option for option in accepted if option.shapes_vectors}
    if not isinstance(options, dict) or not options.keys() <= known.keys():
        raise ModelError(
            f"{path}: options of {encoder}: expected some of {', '.join(sorted(known)) or 'none'}"
        )
    try:
        return {key: known[key].check(value) for key, value in options.items()}
    except UsageError as error:
        raise ModelError(f"{path}: options of {encoder}: {error}") from error


def _check_language(name: str, path: Path, language: str | None) -> None:
    known = read_json(path).get("languages")
    if known is not None and not isinstance(known, list):
        raise ModelError(f"{path}: languages is {known!r}, expected a list")
    if known and language is not None and language not in known:
        raise UsageError(
            f"language {language}: {name} was trained on {', '.join(map(str, known))} only; "
            "use the encoder bm25 with this language"
        )
