"""Encoders: text to sparse vectors, with one base class (`lsr.encoders.base`).

`load_encoder` finds one by name, `register_encoder` adds a kind, `restore_encoder` makes the query
side of an index again. Neural encoders are imported when one is asked for; nothing else here loads
torch or transformers.
"""

from lsr.encoders.base import (
    CollectionStatistics,
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
    QueryEncoder,
)
from lsr.encoders.options import Option
from lsr.encoders.registry import (
    ENCODERS,
    load_encoder,
    register_encoder,
    restore_document_encoder,
    restore_encoder,
    statistics_of,
)

__all__ = [
    "ENCODERS",
    "CollectionStatistics",
    "EncodedDocuments",
    "Encoder",
    "EncoderAssets",
    "Fingerprint",
    "Option",
    "QueryEncoder",
    "load_encoder",
    "register_encoder",
    "restore_document_encoder",
    "restore_encoder",
    "statistics_of",
]
