"""Base classes of sparse encoders, and what an index stores of one.

`encode_documents` runs while a corpus is indexed and may need a neural network; `encode_queries`
runs at search time. Some weights depend on the whole collection (the average document length of
BM25, the IDF table of an inference-free query side): encoders therefore *count* while they encode
(`CollectionStatistics`) and *finish* afterwards (`finish_documents`, `with_statistics`). Indexing
needs one pass over the text, and an IDF table is refreshed without encoding anything again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.sparse import SparseBatch


@dataclass(frozen=True, slots=True)
class CollectionStatistics:
    """Counts over the texts of a collection; adding two gives the counts of both.

    Attributes
    ----------
    n_docs : int
        Number of documents.
    total_length : int
        Tokens of all documents together.
    document_frequency : (n_terms,) int64
        Documents whose *text* holds the term. Shorter than the vocabulary when the last terms
        never occurred.
    """

    n_docs: int = 0
    total_length: int = 0
    document_frequency: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of_assets(cls, assets: EncoderAssets) -> CollectionStatistics:
        """Return the counts that an index stores under the names of the attributes."""
        config, counted = assets.config, assets.arrays["document_frequency"]
        return cls(config["n_docs"], config["total_length"], counted.astype(np.int64))

    def __add__(self, other: CollectionStatistics) -> CollectionStatistics:
        longer, shorter = sorted(
            (self.document_frequency, other.document_frequency), key=len, reverse=True
        )
        total = longer.copy()
        total[: len(shorter)] += shorter
        return CollectionStatistics(
            self.n_docs + other.n_docs, self.total_length + other.total_length, total
        )

    @property
    def average_length(self) -> float:
        """Mean document length in tokens; 0 for an empty collection."""
        return self.total_length / self.n_docs if self.n_docs else 0.0


class EncodedDocuments(NamedTuple):
    """Vectors of a batch of documents, and what was counted in their texts."""

    vectors: SparseBatch
    statistics: CollectionStatistics


@dataclass(frozen=True)
class EncoderAssets:
    """What an index stores of its encoder, enough to encode queries again.

    Attributes
    ----------
    config : mapping
        JSON values: ``kind`` names the class that restores it; the rest is that class's own.
    arrays : mapping
        Named arrays: an IDF table, a vocabulary as bytes and offsets, a tokenizer file as uint8.
    """

    config: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identity of an encoder: equal fingerprints mean comparable vectors.

    Attributes
    ----------
    document : mapping
        Everything that shapes document vectors: kind, model digest, tokenizer digest, pooling,
        activation, maximum length, pruning, analyser, parameters.
    query : mapping
        What shapes query vectors on top of it: query encoder, IDF source, stop words.
    """

    document: Mapping[str, Any]
    query: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over the document side, 64 hexadecimal digits.

        Not over the query side: a refreshed IDF table or another query encoder over the same
        vocabulary still fits the index, other document vectors do not.
        """
        import hashlib
        import json

        canonical = json.dumps(dict(self.document), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class QueryEncoder(ABC):
    """Turns queries into sparse vectors."""

    @property
    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """What decides whether a query of this encoder fits an index."""

    @abstractmethod
    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Encode queries into `n` rows, float32; an empty string has no entries."""

    @abstractmethod
    def term(self, term_id: int) -> str:
        """Return the term behind an id, for people to read."""

    @abstractmethod
    def term_id(self, term: str) -> int | None:
        """Return the id of a term, or None when the vocabulary has no such term."""


class Encoder(QueryEncoder):
    """Turns documents and queries into sparse vectors over one vocabulary.

    A new encoder implements the abstract members, `restore`, and those defaults that are untrue of
    it: nothing depends on the collection, nothing grows while documents are encoded.
    `lsr.encoders.register_encoder` makes it known by its name.
    """

    @property
    @abstractmethod
    def n_terms(self) -> int:
        """Size of the vocabulary so far: every term id is smaller."""

    @abstractmethod
    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        """Encode documents and count what their texts hold.

        Weights that depend on the whole collection are set by `finish_documents`, once all are
        counted.
        """

    @abstractmethod
    def assets(self) -> EncoderAssets:
        """Return what an index has to store to encode queries later; `restore` reads it."""

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> Encoder:
        """Load the encoder that a user named; raises ModelError.

        Parameters
        ----------
        name : str
            As the user wrote it: the name of a kind, a folder, or a hub id.
        folder : Path or None
            The folder of the model, for a kind that is found by its folder.
        **options
            Those given, of the options that the kind was registered with; already checked.
        """
        return cls(**options)

    @classmethod
    def restore(cls, assets: EncoderAssets) -> QueryEncoder:
        """Restore the query side of an index from what `assets` returned."""
        raise NotImplementedError(f"{cls.__name__} does not implement restore")

    @classmethod
    def restore_documents(cls, assets: EncoderAssets) -> Encoder:
        """Restore the encoder of an index, to encode further documents.

        Raises UsageError when the index stores the query side only (default).
        """
        encoder = cls.restore(assets)
        if not isinstance(encoder, Encoder):
            raise UsageError(
                f"the index stores only the query side of its encoder ({cls.__name__}); encode the "
                "documents again with lsr reindex --encoder"
            )
        return encoder

    @classmethod
    def stored_statistics(cls, assets: EncoderAssets) -> CollectionStatistics | None:
        """Return the stored counts that queries depend on; None when they depend on none.

        By default those under the names of `CollectionStatistics`, where they are there.
        """
        if "document_frequency" not in assets.arrays:
            return None
        return CollectionStatistics.of_assets(assets)

    def finish_documents(
        self, vectors: SparseBatch, statistics: CollectionStatistics
    ) -> SparseBatch:
        """Apply to document vectors what depends on the whole collection. Default: nothing."""
        return vectors

    def with_statistics(self, statistics: CollectionStatistics) -> Self:
        """Return this encoder with a query side that uses the statistics of a collection.

        Default: the encoder itself, whose queries need none.
        """
        return self

    def state(self) -> bytes | None:
        """Return what grew while encoding (a vocabulary), or None when nothing does (default).

        A long job saves it with every shard, so that it can resume.
        """
        return None

    def load_state(self, state: bytes) -> None:
        """Replace what grew by a saved state; raises UsageError where nothing grows (default)."""
        raise UsageError(
            f"{type(self).__name__} keeps no state, but the interrupted job saved one: it was "
            "begun with another encoder; remove the job's folder and begin again"
        )
