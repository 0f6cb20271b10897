"""Dense vectors of an index: `DenseSpec` to specify them, `DensePart` as a manifest stores them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.encoders.dense.base import DenseEncoder, Similarity
from lsr.errors import UsageError
from lsr_index.storage.container import FileEntry

MAX_DIMENSION = 65_536
MAX_LISTS = 1 << 20
FLAT_BELOW = 100_000
"""Vectors of a segment below which all are compared: ten milliseconds at most, and exact."""


@dataclass(frozen=True)
class DenseSpec:
    """Specification of the dense vectors of an index; UsageError for a value out of range.

    Parameters
    ----------
    dimension : int
        Numbers in a vector.
    similarity : {"cosine", "dot"}
        How vectors are compared.
    encoder : EncoderAssets, optional
        Stored in the index, so that it can encode queries later.
    fingerprint : Fingerprint, optional
        Identity of the encoder.
    flat_below : int
        A segment with fewer vectors has no clusters: all its vectors are compared.
    n_lists : int, optional
        Clusters of a larger one. Default: four times the square root of its vectors.
    """

    dimension: int
    similarity: Similarity = "cosine"
    encoder: EncoderAssets | None = None
    fingerprint: Fingerprint | None = None
    flat_below: int = FLAT_BELOW
    n_lists: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.dimension <= MAX_DIMENSION:
            raise UsageError(
                f"dense vectors have 1 to {MAX_DIMENSION} numbers, got {self.dimension}"
            )
        if self.similarity not in ("cosine", "dot"):
            raise UsageError(f"similarity is cosine or dot, got {self.similarity!r}")
        if self.flat_below < 0:
            raise UsageError(f"flat_below must be at least 0, got {self.flat_below}")
        if self.n_lists is not None and not 1 <= self.n_lists <= MAX_LISTS:
            raise UsageError(f"n_lists must be 1 to {MAX_LISTS}, got {self.n_lists}")

    @classmethod
    def of(cls, encoder: DenseEncoder, **layout: Any) -> Self:
        """Return the specification of the vectors of an encoder."""
        return cls(
            encoder.dimension, encoder.similarity, encoder.assets(), encoder.fingerprint, **layout
        )

    def part(self, encoder: FileEntry | None) -> DensePart:
        """Return the entry of the manifest; `encoder` is the file of the stored encoder."""
        settings = {"flat_below": self.flat_below, "n_lists": self.n_lists}
        return DensePart(self.dimension, self.similarity, encoder, self.fingerprint, settings)


@dataclass(frozen=True)
class DensePart:
    """The dense vectors of one generation; fields as in `DenseSpec`.

    `encoder` is the file of the stored encoder; `settings` holds ``flat_below`` and ``n_lists``,
    for later segments.
    """

    dimension: int
    similarity: Similarity
    encoder: FileEntry | None = None
    fingerprint: Fingerprint | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def flat_below(self) -> int:
        """Vectors of a segment below which there are no clusters."""
        return int(self.settings.get("flat_below", FLAT_BELOW))

    def lists_for(self, n_vectors: int) -> int:
        """Return the number of clusters of a segment with `n_vectors`; 1: none."""
        if n_vectors < max(2, self.flat_below):
            return 1
        chosen = self.settings.get("n_lists") or 4 * math.isqrt(n_vectors)
        return max(1, min(int(chosen), n_vectors))

    @classmethod
    def from_json(cls, body: Any) -> Self:
        """Read what a manifest stores. Raises ValueError, KeyError, TypeError."""
        settings = dict(body["settings"])
        layout = (settings.get("flat_below", FLAT_BELOW), settings.get("n_lists"))
        for value in (body["dimension"], *layout):
            if value is not None and type(value) is not int:
                raise ValueError(f"{value!r} is not a whole number")
        spec = DenseSpec(body["dimension"], body["similarity"], None, None, *layout)
        return cls(
            spec.dimension,
            spec.similarity,
            FileEntry.from_json(body["encoder"], "encoder"),
            fingerprint_from_json(body["fingerprint"]),
            settings,
        )


def fingerprint_from_json(body: Any) -> Fingerprint | None:
    """Read what a manifest stores of a fingerprint. Raises ValueError, KeyError, TypeError."""
    return Fingerprint(dict(body["document"]), dict(body["query"])) if body else None
