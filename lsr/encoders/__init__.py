"""Encoders: text to sparse vectors, behind one protocol (`lsr.encoders.base`).

`load_encoder` finds one by name, `restore_encoder` makes the query side of an index again. Neural
encoders are imported when one is asked for; nothing else here loads torch or transformers.
"""

from lsr.encoders.base import (
    CollectionStatistics,
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
    QueryEncoder,
)
from lsr.encoders.registry import (
    load_encoder,
    restore_document_encoder,
    restore_encoder,
    statistics_of,
)

__all__ = [
    "CollectionStatistics",
    "EncodedDocuments",
    "Encoder",
    "EncoderAssets",
    "Fingerprint",
    "QueryEncoder",
    "load_encoder",
    "restore_document_encoder",
    "restore_encoder",
    "statistics_of",
]
