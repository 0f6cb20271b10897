"""`DenseEncoder`: the base class of dense encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import EncoderAssets, Fingerprint

Similarity = Literal["cosine", "dot"]
"""How two vectors are compared: by the cosine of their angle, or by their inner product."""


class DenseEncoder(ABC):
    """Turns documents and queries into vectors of one dimension.

    A new encoder implements the abstract members and `restore`, and is made known by
    `lsr.encoders.dense.register_dense_encoder`.
    """

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> DenseEncoder:
        """Load the encoder that a user named; see `lsr.encoders.base.Encoder.load`."""
        return cls(**options)

    @classmethod
    def restore(cls, assets: EncoderAssets) -> DenseEncoder:
        """Restore the encoder of an index from what `assets` returned."""
        raise NotImplementedError(f"{cls.__name__} does not implement restore")

    @property
    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """Identity of the encoder: what decides whether a query of it fits an index."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Numbers in a vector."""

    @property
    @abstractmethod
    def similarity(self) -> Similarity:
        """How its vectors are meant to be compared."""

    @abstractmethod
    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of documents, (n, dimension) float32.

        Texts are title and text joined (`lsr.records.Document.contents`). One without a word
        (empty, white space) has a row of zeros: it has no vector.
        """

    @abstractmethod
    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of queries, as `encode_documents`."""

    @abstractmethod
    def assets(self) -> EncoderAssets:
        """Return what an index has to store to encode queries later."""
