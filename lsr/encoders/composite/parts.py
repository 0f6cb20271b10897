"""The parts of a composite: an encoder with its weight and mark, and what an index stores of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

from lsr.encoders.base import Encoder, EncoderAssets, QueryEncoder
from lsr.encoders.composite.term_ranges import TermRanges
from lsr.errors import IndexFormatError, UsageError

KIND = "composite"

Side = TypeVar("Side", bound=QueryEncoder)


class Part(NamedTuple, Generic[Side]):
    """An encoder of a composite, the weight of its scores (above 0), and the mark of its terms.

    The mark stands in front of terms where people read them; each part has its own.
    """

    encoder: Side
    weight: float = 1.0
    mark: str = ""


def parts_of(
    assets: EncoderAssets, restore: Callable[[EncoderAssets], Side]
) -> tuple[list[Part[Side]], TermRanges]:
    """Return the parts of a composite's assets; raises IndexFormatError where they do not fit."""
    starts, described = assets.config["starts"], assets.config["parts"]
    if not starts or len(starts) != len(described):
        raise IndexFormatError(
            "the encoder stored in the index is a composite whose parts do not fit each other; "
            "index the corpus again"
        )
    parts = [
        Part(restore(assets_of_part(assets, number)), float(one["weight"]), str(one["mark"]))
        for number, one in enumerate(described)
    ]
    return parts, ranges_of(assets)


def assets_of_part(assets: EncoderAssets, number: int) -> EncoderAssets:
    """Return the assets of the part at a position of a composite."""
    prefix = f"{number}."
    config: Mapping[str, Any] = assets.config["parts"][number]["config"]
    own = {
        name.removeprefix(prefix): array
        for name, array in assets.arrays.items()
        if name.startswith(prefix)
    }
    return EncoderAssets(config, own)


def ranges_of(assets: EncoderAssets) -> TermRanges:
    """Return the ranges of term ids that the parts of a composite own."""
    starts = assets.config["starts"]
    return TermRanges([after - before for before, after in pairwise(starts)])


def check_parts(parts: Sequence[Part[Encoder]]) -> None:
    """Raise UsageError where parts cannot stand together."""
    if not parts:
        raise UsageError("a composite needs at least one encoder")
    marks = [part.mark for part in parts]
    if len(set(marks)) < len(marks):
        raise UsageError(f"the parts of a composite are marked {marks}: give each its own mark")
    for part in parts:
        if not 0 < part.weight < float("inf"):
            raise UsageError(f"a part of a composite has the weight {part.weight}: expected > 0")
    for part in parts[:-1]:
        if part.encoder.state() is not None:
            raise UsageError(
                "only the last encoder of a composite may have a vocabulary that grows; "
                f"put {part.encoder.fingerprint.document['kind']} last"
            )
