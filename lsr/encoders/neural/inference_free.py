"""Inference-free queries: the set of a text's word pieces, each weighted by a table.

Geng, Wang, Kuang, Yang, "Towards Competitive Search Relevance for Inference-Free Learned Sparse
Retrievers" (arXiv 2411.04403), §3: a query needs a tokenizer and a table, and no network. The table
is the model's own (``idf.json``), or the inverse document frequency of the pieces in the *texts* of
the collection, counted while it was encoded. That one can be refreshed at any time without touching
a document vector.

Torch-free: only `InferenceFreeEncoder` is handed a document side that may need it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import (
    CollectionStatistics,
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
    QueryEncoder,
)
from lsr.encoders.neural.idf import inverse_document_frequency, read_table
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.encoders.registry import restore_document_encoder
from lsr.errors import UsageError
from lsr.sparse import SparseBatch

KIND = "inference-free"


class InferenceFreeQueryEncoder(QueryEncoder):
    """Queries as sets of word pieces times a table.

    Parameters
    ----------
    pieces : WordPieces
        The tokenizer.
    document : mapping
        Document side of the fingerprint: what made the vectors that these queries search.
    table : (n_terms,) float32, optional
        The model's own weights, at least 0; a piece with weight 0 is dropped. Without one, weights
        are the inverse document frequencies of `statistics`.
    statistics : CollectionStatistics, optional
        Counts over the texts of the collection.
    """

    def __init__(
        self,
        pieces: WordPieces,
        document: Mapping[str, Any],
        *,
        table: NDArray[np.float32] | None = None,
        statistics: CollectionStatistics | None = None,
    ) -> None:
        self.pieces = pieces
        self.statistics = statistics
        self._document = document
        self._table = table
        self._weights = table
        if table is None and statistics is not None:
            self._weights = inverse_document_frequency(statistics, pieces.n_terms)

    @classmethod
    def from_assets(cls, assets: EncoderAssets) -> InferenceFreeQueryEncoder:
        """Restore the encoder that `assets` described."""
        config, arrays = assets.config, assets.arrays
        pieces = WordPieces(
            arrays["tokenizer"].tobytes().decode(),
            max_length=config["max_length"],
            prompt=config["prompt"],
        )
        statistics = CollectionStatistics(
            config["n_docs"], config["total_length"], arrays["document_frequency"].astype(np.int64)
        )
        table = arrays["table"].astype(np.float32) if config["idf"] == "model" else None
        return cls(pieces, config["document"], table=table, statistics=statistics)

    @property
    def fingerprint(self) -> Fingerprint:
        """The document side as given; tokenizer limits and the source of the weights."""
        source = "collection"
        if self._table is not None:
            source = hashlib.sha256(self._table.tobytes()).hexdigest()
        query = {"kind": KIND, "idf": source, "prompt": self.pieces.prompt}
        return Fingerprint(self._document, query)

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Weigh each distinct piece of a text once; special tokens are no pieces of it.

        Raises
        ------
        UsageError
            Before the statistics of a collection are known, without a table of the model.
        """
        if self._weights is None:
            raise UsageError(
                "the weights of inference-free queries are counted in the texts of a collection; "
                "index one, or take the encoder of an index"
            )
        rows = [self._row(ids, self._weights) for ids in self.pieces.encode(texts)]
        lengths = np.array([len(row) for row in rows], np.int64)
        term_ids = np.concatenate([np.zeros(0, np.int64), *rows])
        return SparseBatch(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            term_ids.astype(np.uint32),
            self._weights[term_ids],
        )

    def with_statistics(self, statistics: CollectionStatistics) -> InferenceFreeQueryEncoder:
        """Return this encoder with the counts of a collection; a table of the model stays."""
        return InferenceFreeQueryEncoder(
            self.pieces, self._document, table=self._table, statistics=statistics
        )

    def assets(self) -> EncoderAssets:
        """Return tokenizer, counts and table."""
        statistics = self.statistics or CollectionStatistics()
        config = {
            "kind": KIND,
            "document": dict(self._document),
            "idf": "collection" if self._table is None else "model",
            "max_length": self.pieces.max_length,
            "prompt": self.pieces.prompt,
            "n_docs": statistics.n_docs,
            "total_length": statistics.total_length,
        }
        arrays: dict[str, NDArray[Any]] = {
            "tokenizer": np.frombuffer(self.pieces.to_json().encode(), np.uint8),
            "document_frequency": statistics.document_frequency,
        }
        if self._table is not None:
            arrays["table"] = self._table
        return EncoderAssets(config, arrays)

    def term(self, term_id: int) -> str:
        """Return the word piece behind an id."""
        return self.pieces.term(term_id)

    def term_id(self, term: str) -> int | None:
        """Return the id of a word piece, or None."""
        return self.pieces.term_id(term)

    def _row(self, ids: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.int64]:
        distinct = np.setdiff1d(ids, self.pieces.special_ids)
        return distinct[weights[distinct] > 0]


class InferenceFreeEncoder(Encoder):
    """Documents through a neural encoder, queries through a table.

    Parameters
    ----------
    documents : Encoder
        Must count word pieces of `queries.pieces` while it encodes.
    queries : InferenceFreeQueryEncoder
    """

    def __init__(self, documents: Encoder, queries: InferenceFreeQueryEncoder) -> None:
        self._documents = documents
        self.queries = queries

    @classmethod
    def restore(cls, assets: EncoderAssets) -> InferenceFreeQueryEncoder:
        """Restore the query side of an index."""
        return InferenceFreeQueryEncoder.from_assets(assets)

    @classmethod
    def restore_documents(cls, assets: EncoderAssets) -> InferenceFreeEncoder:
        """Restore the encoder of an index, the one of its documents included."""
        if "documents" not in assets.config:
            raise UsageError(
                "the index does not say where the model of its documents lies; encode the "
                "documents again with encoder= (lsr reindex), once"
            )
        documents = restore_document_encoder(EncoderAssets(assets.config["documents"]))
        return cls(documents, cls.restore(assets))

    @classmethod
    def stored_statistics(cls, assets: EncoderAssets) -> CollectionStatistics | None:
        """Return the counts that queries depend on; None with a table of the model."""
        return None if assets.config["idf"] == "model" else super().stored_statistics(assets)

    @classmethod
    def over(
        cls, documents: Encoder, pieces: WordPieces, *, table: Path | None = None, prompt: str = ""
    ) -> InferenceFreeEncoder:
        """Put an inference-free query side on a document encoder.

        Parameters
        ----------
        documents : Encoder
        pieces : WordPieces
            Its tokenizer.
        table : Path, optional
            The model's own weights (`read_table`); counted in the collection without one.
        prompt : str
            Put in front of queries.
        """
        own = WordPieces(pieces.to_json(), max_length=pieces.max_length, prompt=prompt)
        weights = None if table is None else read_table(table, own)
        fingerprint = documents.fingerprint.document
        return cls(documents, InferenceFreeQueryEncoder(own, fingerprint, table=weights))

    @property
    def fingerprint(self) -> Fingerprint:
        """The document encoder's, with this query side."""
        return self.queries.fingerprint

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary."""
        return self._documents.n_terms

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        """Encode documents and count the word pieces of their texts."""
        return self._documents.encode_documents(texts)

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Encode queries; see `InferenceFreeQueryEncoder.encode_queries`."""
        return self.queries.encode_queries(texts)

    def finish_documents(
        self, vectors: SparseBatch, statistics: CollectionStatistics
    ) -> SparseBatch:
        """Finish vectors as the document encoder does."""
        return self._documents.finish_documents(vectors, statistics)

    def with_statistics(self, statistics: CollectionStatistics) -> Self:
        """Return this encoder with queries weighted by the counts of a collection."""
        return type(self)(
            self._documents.with_statistics(statistics), self.queries.with_statistics(statistics)
        )

    def assets(self) -> EncoderAssets:
        """Return the query side, and where the model of the document side lies, for later ones."""
        assets = self.queries.assets()
        documents = dict(self._documents.assets().config)
        return EncoderAssets({**assets.config, "documents": documents}, assets.arrays)

    def state(self) -> bytes | None:
        """Return what grew in the document encoder."""
        return self._documents.state()

    def load_state(self, state: bytes) -> None:
        """Hand a saved state to the document encoder."""
        self._documents.load_state(state)

    def term(self, term_id: int) -> str:
        """Return the word piece behind an id."""
        return self.queries.term(term_id)

    def term_id(self, term: str) -> int | None:
        """Return the id of a word piece, or None."""
        return self.queries.term_id(term)
