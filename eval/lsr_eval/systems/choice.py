"""The systems of an experiment that names, paths and options of a user stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsr.errors import UsageError
from lsr_eval.systems.system import DenseSystem, EncoderSystem, IndexSystem, Mode, System

OneOrMore = str | Path | Sequence[str | Path]
_LEXICAL = "bm25"
_LEXICAL_OPTIONS = frozenset({"language", "stopwords", "accents", "k1", "b"})


def listed(given: OneOrMore) -> list[str | Path]:
    """Return one or more as a list."""
    return [given] if isinstance(given, str | Path) else list(given)


def encoder_systems(
    given: OneOrMore, query_encoder: str | None, options: Mapping[str, Any]
) -> list[EncoderSystem]:
    """Return a system for each encoder.

    With ``bm25`` beside models, each gets the options that are its own.

    Raises
    ------
    UsageError
        A query side that is none, or without an encoder.
    """
    encoders = [str(name) for name in listed(given)]
    if query_encoder is not None and not encoders:
        raise UsageError(
            f"query encoder {query_encoder!r} without an encoder: an index brings its own, "
            "a run needs none"
        )
    mixed = len({name == _LEXICAL for name in encoders}) > 1
    systems = []
    for name in encoders:
        lexical, side, own = name == _LEXICAL, query_encoder, dict(options)
        if mixed:
            own = {o: value for o, value in own.items() if (o in _LEXICAL_OPTIONS) == lexical}
            side = None if lexical else side
        systems.append(EncoderSystem(name, side, own))
    return systems


def index_systems(
    given: OneOrMore, mode: Mode, fusions: Sequence[str], selective: str | Path | None
) -> list[IndexSystem]:
    """Return the systems for each index: one, or with mode hybrid its branches and their fusions.

    Raises
    ------
    UsageError
        A selection without mode hybrid.
    """
    way = None if selective is None else Path(selective)
    chosen: list[str | None] = [*fusions] or [None]
    systems = []
    for path in map(Path, listed(given)):
        if mode != "hybrid":
            systems.append(IndexSystem(path, mode, selective=way))
            continue
        systems += [IndexSystem(path, "sparse"), IndexSystem(path, "dense")]
        for fusion in chosen:
            systems.append(IndexSystem(path, mode, fusion))
            if way is not None:
                systems.append(IndexSystem(path, mode, fusion, way))
    return systems


def is_dense(system: System) -> bool:
    """Return whether a system searches dense vectors only."""
    return isinstance(system, DenseSystem) or (
        isinstance(system, IndexSystem) and system.mode == "dense"
    )
