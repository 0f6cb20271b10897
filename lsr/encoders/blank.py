"""`BlankEncoder`: no terms for any document, for jobs that are about other vectors only."""

from __future__ import annotations

from collections.abc import Sequence

from lsr.encoders.base import CollectionStatistics, EncodedDocuments, EncoderAssets, Fingerprint
from lsr.sparse import SparseBatch

KIND = "blank"


class BlankEncoder:
    """Gives every text an empty vector."""

    n_terms = 0
    fingerprint = Fingerprint({"kind": KIND})

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        """Return as many empty vectors, and the number of texts."""
        return EncodedDocuments(SparseBatch.empty(len(texts)), CollectionStatistics(len(texts)))

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Return as many empty vectors."""
        return SparseBatch.empty(len(texts))

    def finish_documents(
        self, vectors: SparseBatch, statistics: CollectionStatistics
    ) -> SparseBatch:
        """Return the vectors."""
        return vectors

    def with_statistics(self, statistics: CollectionStatistics) -> BlankEncoder:
        """Return this encoder."""
        return self

    def term(self, term_id: int) -> str:
        """Return the number: there are no terms."""
        return str(term_id)

    def term_id(self, term: str) -> int | None:
        """Return None: there are no terms."""
        return None

    def assets(self) -> EncoderAssets:
        """Return the kind, all there is to know."""
        return EncoderAssets({"kind": KIND})

    def state(self) -> bytes | None:
        """Return None: nothing grows."""
        return None

    def load_state(self, state: bytes) -> None:
        """Take up nothing."""
