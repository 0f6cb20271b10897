"""What an index knows of its dense vectors: `DenseSpec` to ask for them, `DensePart` as stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
    """The dense vectors that an index is to have.

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

    Raises
    ------
    UsageError
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
        """Return the spec of the vectors that an encoder makes."""
        return cls(
            encoder.dimension, encoder.similarity, encoder.assets(), encoder.fingerprint, **layout
        )

    def part(self, encoder: FileEntry | None) -> DensePart:
        """Return what the manifest says of it; `encoder` is the file of the stored encoder."""
        settings = {"flat_below": self.flat_below, "n_lists": self.n_lists}
        return DensePart(self.dimension, self.similarity, encoder, self.fingerprint, settings)


@dataclass(frozen=True)
class DensePart:
    """The dense vectors of one generation.

    Attributes
    ----------
    dimension : int
    similarity : {"cosine", "dot"}
    encoder : FileEntry or None
        The stored encoder.
    fingerprint : Fingerprint or None
        Identity of the encoder that made the vectors.
    settings : mapping
        ``flat_below`` and ``n_lists``, for later segments.
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
        """Return how many clusters a segment of so many vectors has; 1 is none."""
        if n_vectors < max(2, self.flat_below):
            return 1
        chosen = self.settings.get("n_lists") or 4 * math.isqrt(n_vectors)
        return max(1, min(int(chosen), n_vectors))

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest stores."""
        fingerprint = self.fingerprint
        return {
            "dimension": self.dimension,
            "encoder": self.encoder and self.encoder._asdict(),
            "fingerprint": fingerprint
            and {"document": dict(fingerprint.document), "query": dict(fingerprint.query)},
            "settings": dict(self.settings),
            "similarity": self.similarity,
        }


def part_from_json(body: Any, read_file: Callable[[Any, str], FileEntry]) -> DensePart:
    """Read what `DensePart.to_json` made.

    Parameters
    ----------
    read_file : callable
        Checks and reads the entry of a file of the given kind.

    Raises
    ------
    ValueError, KeyError, TypeError
    """
    dimension, similarity, settings = body["dimension"], body["similarity"], dict(body["settings"])
    if type(dimension) is not int or not 1 <= dimension <= MAX_DIMENSION:
        raise ValueError(f"dense vectors have 1 to {MAX_DIMENSION} numbers")
    if similarity not in ("cosine", "dot"):
        raise ValueError("the similarity is neither cosine nor dot")
    flat_below, n_lists = settings.get("flat_below", 0), settings.get("n_lists")
    if type(flat_below) is not int or flat_below < 0:
        raise ValueError("flat_below is not a whole number")
    if n_lists is not None and (type(n_lists) is not int or not 1 <= n_lists <= MAX_LISTS):
        raise ValueError(f"n_lists is not a whole number from 1 to {MAX_LISTS}")
    stored = body["fingerprint"]
    return DensePart(
        dimension,
        similarity,
        read_file(body["encoder"], "encoder") if body["encoder"] else None,
        Fingerprint(dict(stored["document"]), dict(stored["query"])) if stored else None,
        settings,
    )
