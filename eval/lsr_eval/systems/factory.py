"""Systems of an experiment, made from the names, paths and options of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsr.encoders.registry import ENCODERS
from lsr.errors import UsageError
from lsr_eval.systems.system import DenseSystem, EncoderSystem, IndexSystem, Mode, System

OneOrMore = str | Path | Sequence[str | Path]


def listed(given: OneOrMore) -> list[str | Path]:
    """Return one or more as a list."""
    return [given] if isinstance(given, str | Path) else list(given)


def encoder_systems(
    given: OneOrMore, query_encoder: str | None, options: Mapping[str, Any]
) -> list[EncoderSystem]:
    """Return a system for each encoder; of several, each gets the options that it takes.

    Raises `UsageError` for a query side without an encoder and an option that no encoder takes.
    """
    encoders = [str(name) for name in listed(given)]
    if query_encoder is not None and not encoders:
        raise UsageError(
            f"query encoder {query_encoder!r} without an encoder: an index brings its own, "
            "a run needs none"
        )
    given_options = {"query_encoder": query_encoder, **options}
    given_options = {option: value for option, value in given_options.items() if value is not None}
    if len(encoders) == 1 or not given_options:
        return [EncoderSystem(name, query_encoder, dict(options)) for name in encoders]
    taken = {name: {o.name for o in ENCODERS.options_of(name)} for name in set(encoders)}
    foreign = sorted(given_options.keys() - set().union(*taken.values()))
    if foreign:
        raise UsageError(
            f"{', '.join(foreign)}: not an option of any of {', '.join(encoders)}; leave it out"
        )
    systems = []
    for name in encoders:
        own = {option: value for option, value in given_options.items() if option in taken[name]}
        systems.append(EncoderSystem(name, own.pop("query_encoder", None), own))
    return systems


def index_systems(
    given: OneOrMore, mode: Mode, fusions: Sequence[str], selective: str | Path | None
) -> list[IndexSystem]:
    """Return the systems for each index: one, or with mode hybrid its branches and fusions."""
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
