"""Encoders by name, and the query side of an index by what the index stored.

The one place that knows which kinds there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lsr.analysis.analyzer import Accents
from lsr.encoders.base import Encoder, EncoderAssets, QueryEncoder
from lsr.encoders.bm25 import K1, B, BM25Encoder
from lsr.errors import IndexFormatError


def load_encoder(
    name: str,
    *,
    language: str = "english",
    stopwords: Iterable[str] | None = None,
    accents: Accents | None = None,
    k1: float = K1,
    b: float = B,
    **neural: Any,
) -> Encoder:
    """Return the encoder with a name."""
    if name == "bm25":
        return BM25Encoder.for_language(language, stopwords=stopwords, accents=accents, k1=k1, b=b)
    raise NotImplementedError(name)


def restore_encoder(assets: EncoderAssets) -> QueryEncoder:
    """Return the query encoder that an index stored."""
    kind = assets.config.get("kind")
    if kind == "bm25":
        return BM25Encoder.from_assets(assets)
    raise IndexFormatError(f"the index stores an encoder of an unknown kind {kind!r}")
