"""What every dense encoder offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import EncoderAssets, Fingerprint

Similarity = Literal["cosine", "dot"]
"""How two vectors are compared: by the cosine of their angle, or by their inner product."""


@runtime_checkable
class DenseEncoder(Protocol):
    """Turns documents and queries into vectors of one dimension."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Identity of the encoder: what decides whether a query of it fits an index."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    @property
    def similarity(self) -> Similarity:
        """How its vectors are meant to be compared."""

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode documents.

        Parameters
        ----------
        texts : sequence of str, (n,)
            Title and text joined, as `lsr.records.Document.contents` gives them.

        Returns
        -------
        (n, dimension) float32
            A text without a word (empty, white space) has a row of zeros: it has no vector.
        """

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode queries; otherwise as `encode_documents`."""

    def assets(self) -> EncoderAssets:
        """Return what an index has to store to encode queries later."""


DenseEncoderAssets = EncoderAssets
"""What an index stores of a dense encoder: the same record as of a sparse one."""
