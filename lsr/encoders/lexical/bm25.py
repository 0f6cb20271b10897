"""`BM25Encoder`: BM25 as sparse vectors.

The saturated term frequency is the document's weight, the inverse document frequency the query's;
their inner product is the BM25 score (Robertson and Zaragoza, "The Probabilistic Relevance
Framework: BM25 and Beyond" (2009), section 3.4, with an inverse document frequency that never falls
below zero, as in Lucene).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from lsr.analysis import Analyzer, TermCounter
from lsr.encoders.base import (
    CollectionStatistics,
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
)
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.vocabulary import Vocabulary

KIND = "bm25"
K1 = 1.2
B = 0.75
"""Robertson's defaults, Lucene's too."""


class BM25Encoder(Encoder):
    """BM25 with a growing vocabulary.

    Parameters
    ----------
    analyzer : Analyzer, optional
        English with its stop words by default.
    k1 : float
        Term-frequency saturation, at least 0.
    b : float
        Length normalisation, 0 to 1.
    vocabulary : Vocabulary, optional
        Terms that have an id already.
    statistics : CollectionStatistics, optional
        Of the collection to search; queries need them (`with_statistics`).

    Raises
    ------
    UsageError
        `k1` or `b` is out of range.
    """

    _vocabulary: Vocabulary
    _counter: TermCounter
    _state: bytearray
    _n_in_state: int

    def __init__(
        self,
        analyzer: Analyzer | None = None,
        *,
        k1: float = K1,
        b: float = B,
        vocabulary: Vocabulary | None = None,
        statistics: CollectionStatistics | None = None,
    ) -> None:
        if not (math.isfinite(k1) and k1 >= 0):
            raise UsageError(f"k1 {k1}: expected a number from 0 up; usual are 0.9 to 1.5")
        if not 0 <= b <= 1:
            raise UsageError(f"b {b}: expected a number from 0 to 1; usual are 0.4 to 0.75")
        self.analyzer = analyzer or Analyzer()
        self.k1 = k1
        self.b = b
        self.statistics = statistics
        self._set_vocabulary(Vocabulary() if vocabulary is None else vocabulary)
        # The vocabulary may go on growing with documents that are not in the collection yet.
        self._n_searched = None if statistics is None else len(self._vocabulary)

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> BM25Encoder:
        parameters = {key: options[key] for key in ("k1", "b") if key in options}
        analysis = {key: options[key] for key in options.keys() - parameters.keys()}
        return cls(Analyzer(**analysis), **parameters)

    @classmethod
    def restore(cls, assets: EncoderAssets) -> BM25Encoder:
        config, arrays = assets.config, assets.arrays
        return cls(
            Analyzer.from_parameters(config["analyzer"]),
            k1=config["k1"],
            b=config["b"],
            vocabulary=Vocabulary.from_arrays(
                arrays["vocabulary_text"], arrays["vocabulary_offsets"]
            ),
            statistics=CollectionStatistics.of_assets(assets),
        )

    @property
    def fingerprint(self) -> Fingerprint:
        document = {"kind": KIND, "analyzer": self.analyzer.fingerprint, "k1": self.k1, "b": self.b}
        return Fingerprint(document, {"kind": KIND, "idf": "ln(1 + (N - n + 0.5) / (n + 0.5))"})

    @property
    def n_terms(self) -> int:
        return len(self._vocabulary)

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        """Return raw term frequencies and counts; new terms get the next free ids."""
        counts = self._counter.count(texts)
        frequency = np.bincount(counts.indices.astype(np.int64)).astype(np.int64)
        total = int(counts.values.sum(dtype=np.float64))
        return EncodedDocuments(counts, CollectionStatistics(len(texts), total, frequency))

    def finish_documents(
        self, vectors: SparseBatch, statistics: CollectionStatistics
    ) -> SparseBatch:
        """Turn term frequencies into saturated weights.

        ``tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / average_length))``, between 0 and
        ``k1 + 1``.
        """
        sums = np.concatenate([[0.0], np.cumsum(vectors.values, dtype=np.float64)])
        lengths = np.diff(sums[vectors.indptr])
        ratio = lengths / (statistics.average_length or 1.0)
        slope = np.repeat(self.k1 * (1 - self.b + self.b * ratio), np.diff(vectors.indptr))
        tf = vectors.values.astype(np.float64)
        weights = tf * (self.k1 + 1) / (tf + slope)
        return SparseBatch(vectors.indptr, vectors.indices, weights.astype(np.float32))

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Weigh each known term by its IDF times its frequency in the query.

        Raises UsageError before the statistics of a collection are known.
        """
        if self.statistics is None:
            raise UsageError(
                "BM25 queries need the document frequencies of a collection; index one, or take "
                "the encoder of an index"
            )
        rows: list[dict[int, float]] = []
        for text in texts:
            row: dict[int, float] = {}
            for term in self.analyzer.terms(text):
                term_id = self.term_id(term)
                if term_id is not None:
                    row[term_id] = row.get(term_id, 0.0) + 1.0
            rows.append({i: row[i] * self._idf(i, self.statistics) for i in sorted(row)})
        return SparseBatch.from_rows(rows)

    def with_statistics(self, statistics: CollectionStatistics) -> Self:
        """Return this encoder for a collection; both share the vocabulary."""
        return type(self)(
            self.analyzer, k1=self.k1, b=self.b, vocabulary=self._vocabulary, statistics=statistics
        )

    def assets(self) -> EncoderAssets:
        statistics = self.statistics or CollectionStatistics()
        text, offsets = self._vocabulary.to_arrays()
        config = {
            "kind": KIND,
            "analyzer": self.analyzer.parameters,
            "k1": self.k1,
            "b": self.b,
            "n_docs": statistics.n_docs,
            "total_length": statistics.total_length,
        }
        return EncoderAssets(
            config,
            {
                "vocabulary_text": text,
                "vocabulary_offsets": offsets,
                "document_frequency": statistics.document_frequency,
            },
        )

    def state(self) -> bytes:
        """Return the vocabulary, one term a line; a later state starts with an earlier one."""
        new = range(self._n_in_state, len(self._vocabulary))
        self._state += "".join(f"{self._vocabulary.term(i)}\n" for i in new).encode()
        self._n_in_state = len(self._vocabulary)
        return bytes(self._state)

    def load_state(self, state: bytes) -> None:
        """Replace the vocabulary by a saved one; by an earlier one of its own, forget the rest."""
        if self.state().startswith(state):
            n_terms = state.count(b"\n")
            self._vocabulary.truncate(n_terms)
            self._counter.forget()
            self._state, self._n_in_state = bytearray(state), n_terms
            return
        self._set_vocabulary(Vocabulary(state.decode().split("\n")[:-1]))

    def term(self, term_id: int) -> str:
        return self._vocabulary.term(term_id)

    def term_id(self, term: str) -> int | None:
        found = self._vocabulary.term_id(term)
        if found is None or self._n_searched is None or found < self._n_searched:
            return found
        return None

    def _set_vocabulary(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._counter = TermCounter(self.analyzer, vocabulary)
        self._state = bytearray()
        self._n_in_state = 0

    @staticmethod
    def _idf(term_id: int, statistics: CollectionStatistics) -> float:
        counted = statistics.document_frequency
        n = int(counted[term_id]) if term_id < len(counted) else 0
        return math.log1p((statistics.n_docs - n + 0.5) / (n + 0.5))
