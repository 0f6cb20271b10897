"""Inference-free queries: the set of a text's word pieces, each weighted by a table.

Geng, Wang, Kuang, Yang, "Towards Competitive Search Relevance for Inference-Free Learned Sparse
Retrievers" (arXiv 2411.04403), §3: a query needs a tokenizer and a table, and no network. The table
is the model's own (``idf.json``), or the inverse document frequencies counted in the collection,
which can be refreshed without touching a document vector. Importing this module loads no torch.
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
    """Query encoder: sets of word pieces times a table.

    Parameters
    ----------
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
        self.table = table
        self._weights = table
        if table is None and statistics is not None:
            self._weights = inverse_document_frequency(statistics, pieces.n_terms)

    @property
    def fingerprint(self) -> Fingerprint:
        source = "collection"
        if self.table is not None:
            source = hashlib.sha256(self.table.tobytes()).hexdigest()
        query = {"kind": KIND, "idf": source, "prompt": self.pieces.prompt}
        return Fingerprint(self._document, query)

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Encode queries: each distinct piece once, without special tokens.

        Raises UsageError without a table while no collection is counted.
        """
        if self._weights is None:
            raise UsageError(
                "the weights of inference-free queries are counted in the texts of a collection; "
                "index one, or take the encoder of an index"
            )
        rows = [self._row(ids, self._weights) for ids in self.pieces.encode(texts)]
        term_ids = np.concatenate([np.zeros(0, np.int64), *rows])
        return SparseBatch.of_lengths(
            [len(row) for row in rows], term_ids.astype(np.uint32), self._weights[term_ids]
        )

    def with_statistics(self, statistics: CollectionStatistics) -> InferenceFreeQueryEncoder:
        """Return this encoder with the counts of a collection; a table of the model stays."""
        return InferenceFreeQueryEncoder(
            self.pieces, self._document, table=self.table, statistics=statistics
        )

    def assets(self) -> EncoderAssets:
        statistics = self.statistics or CollectionStatistics()
        config = {
            "kind": KIND,
            "document": dict(self._document),
            "idf": "collection" if self.table is None else "model",
            "max_length": self.pieces.max_length,
            "prompt": self.pieces.prompt,
            "n_docs": statistics.n_docs,
            "total_length": statistics.total_length,
        }
        arrays: dict[str, NDArray[Any]] = {
            "tokenizer": np.frombuffer(self.pieces.to_json().encode(), np.uint8),
            "document_frequency": statistics.document_frequency,
        }
        if self.table is not None:
            arrays["table"] = self.table
        return EncoderAssets(config, arrays)

    def term(self, term_id: int) -> str:
        return self.pieces.term(term_id)

    def term_id(self, term: str) -> int | None:
        return self.pieces.term_id(term)

    def _row(self, ids: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.int64]:
        distinct = np.setdiff1d(ids, self.pieces.special_ids)
        return distinct[weights[distinct] > 0]


class InferenceFreeEncoder(InferenceFreeQueryEncoder, Encoder):
    """Documents through a neural encoder that counts word pieces, queries through a table."""

    def __init__(
        self,
        documents: Encoder,
        pieces: WordPieces,
        *,
        table: NDArray[np.float32] | None = None,
        statistics: CollectionStatistics | None = None,
    ) -> None:
        document = documents.fingerprint.document
        super().__init__(pieces, document, table=table, statistics=statistics)
        self._documents = documents

    @classmethod
    def over(
        cls, documents: Encoder, pieces: WordPieces, *, table: Path | None = None, prompt: str = ""
    ) -> InferenceFreeEncoder:
        """Add an inference-free query side to a document encoder with the tokenizer `pieces`.

        Its weights are read from the file `table`, or else counted in the collection; `prompt` is
        put in front of queries.
        """
        own = WordPieces(pieces.to_json(), max_length=pieces.max_length, prompt=prompt)
        return cls(documents, own, table=None if table is None else read_table(table, own))

    @classmethod
    def restore(cls, assets: EncoderAssets) -> InferenceFreeQueryEncoder:
        config, arrays = assets.config, assets.arrays
        pieces = WordPieces(
            arrays["tokenizer"].tobytes().decode(),
            max_length=config["max_length"],
            prompt=config["prompt"],
        )
        return InferenceFreeQueryEncoder(
            pieces,
            config["document"],
            table=arrays["table"].astype(np.float32) if config["idf"] == "model" else None,
            statistics=CollectionStatistics.of_assets(assets),
        )

    @classmethod
    def restore_documents(cls, assets: EncoderAssets) -> InferenceFreeEncoder:
        """Restore the encoder of an index, the one of its documents included."""
        if "documents" not in assets.config:
            raise UsageError(
                "the index does not say where the model of its documents lies; encode the "
                "documents again with encoder= (lsr reindex), once"
            )
        documents = restore_document_encoder(EncoderAssets(assets.config["documents"]))
        queries = cls.restore(assets)
        return cls(documents, queries.pieces, table=queries.table, statistics=queries.statistics)

    @classmethod
    def stored_statistics(cls, assets: EncoderAssets) -> CollectionStatistics | None:
        """Return the counts that queries depend on; None with a table of the model."""
        return None if assets.config["idf"] == "model" else super().stored_statistics(assets)

    @property
    def n_terms(self) -> int:
        return self._documents.n_terms

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        return self._documents.encode_documents(texts)

    def finish_documents(
        self, vectors: SparseBatch, statistics: CollectionStatistics
    ) -> SparseBatch:
        return self._documents.finish_documents(vectors, statistics)

    def with_statistics(self, statistics: CollectionStatistics) -> Self:
        documents = self._documents.with_statistics(statistics)
        return type(self)(documents, self.pieces, table=self.table, statistics=statistics)

    def assets(self) -> EncoderAssets:
        """Return the query side, and where the model of the document side lies."""
        assets = super().assets()
        documents = dict(self._documents.assets().config)
        return EncoderAssets({**assets.config, "documents": documents}, assets.arrays)

    def state(self) -> bytes | None:
        return self._documents.state()

    def load_state(self, state: bytes) -> None:
        self._documents.load_state(state)
