"""Reader of recipes: YAML, overrides from the command line, and errors that name the key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from lsr.errors import MissingDependencyError, UsageError
from lsr_training.recipe.schema import Recipe


def read_recipe(path: Path | str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : path
        YAML. Paths in it are relative to the working directory.
    overrides : iterable of str
        ``a.b=c``: set a key; `c` is read as YAML. Elements of lists by number: ``a.0.b=c``.

    Raises
    ------
    UsageError
        The file cannot be read, a key is unknown or a value is invalid; the message names the key.
    """
    content = _load(Path(path))
    for override in overrides:
        _set(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors())
        raise UsageError(f"{path}: {problems}") from error


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not valid UTF-8"
        raise UsageError(f"{path}: the recipe cannot be read ({reason})") from error
    content = _parse(text, path)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected keys with values, found {type(content).__name__}")
    return content


def _parse(text: str, where: Path | str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingDependencyError("reading recipes", "torch") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: not valid YAML ({' '.join(str(error).split())})") from error


def _set(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set {override}: expected key=value, as in optimiser.lr=1e-4")
    parsed = _number(_parse(value, f"--set {override}"))
    place: Any = content
    for part in parts[:-1]:
        place = _inside(place, part, override)
    if isinstance(place, list):
        place[_position(place, parts[-1], override)] = parsed
    elif isinstance(place, dict):
        place[parts[-1]] = parsed
    else:
        raise UsageError(f"--set {override}: {'.'.join(parts[:-1])} is a value, not a section")


def _inside(place: Any, part: str, override: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, part, override)]
    if not isinstance(place, dict):
        raise UsageError(f"--set {override}: nothing can be set below a plain value")
    if place.get(part) is None:
        place[part] = {}
    return place[part]


def _position(place: Sequence[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(place):
        raise UsageError(f"--set {override}: {part!r} is no position in a list of {len(place)}")
    return int(part)


def _number(value: Any) -> Any:
    """Read ``1e-4`` as a number, which YAML 1.1 reads as a string."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _problem(detail: Any) -> str:
    where = [str(part) for part in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(where)}{_near_match(where)}"
    if detail["type"] == "missing":
        return f"{'.'.join(where)} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{'.'.join(where)}: {message}" if where else message


def _near_match(where: Sequence[str]) -> str:
    known = _keys(where[:-1])
    near = difflib.get_close_matches(where[-1], known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


def _keys(path: Sequence[str]) -> list[str]:
    """Return the keys of the section at a path, through optional sections, unions and lists."""
    sections: list[type[BaseModel]] = [Recipe]
    for part in path:
        deeper = [
            found
            for section in sections
            if part in section.model_fields
            for found in _sections_in(section.model_fields[part].annotation)
        ]
        # Parts that are no field are positions in a list, or pick one of several heads.
        picked = [s for s in sections if _picks(s, part)]
        sections = deeper or picked or sections
    return sorted({name for section in sections for name in section.model_fields})


def _picks(section: type[BaseModel], part: str) -> bool:
    head = section.model_fields.get("head")
    return head is not None and part in get_args(head.annotation)


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _sections_in(inner)]
