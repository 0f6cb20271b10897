"""`PrecomputedEncoder`: the vocabulary of vectors that were made elsewhere.

There is nothing to encode with: documents come from a file of vectors (`lsr.vectors`), and so do
queries, or they are given as weights by term.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.lines import read_text_lines
from lsr.encoders.base import Encoder, EncoderAssets, Fingerprint
from lsr.errors import UsageError
from lsr.records import DocumentBatch
from lsr.sparse import MAX_TERM_ID, SparseBatch
from lsr.vocabulary import Vocabulary

KIND = "precomputed"


class PrecomputedEncoder(Encoder):
    """Vocabulary of vectors from elsewhere, and query vectors by their text.

    Parameters
    ----------
    vocabulary : Vocabulary, optional
        Without one, a term is called by its id in decimal digits.
    queries : iterable of DocumentBatch, optional
        Vectors of queries with their texts, such as `lsr.vectors.read_parquet` yields, to be held
        in memory.
    """

    def __init__(
        self, vocabulary: Vocabulary | None = None, *, queries: Iterable[DocumentBatch] = ()
    ) -> None:
        self._vocabulary = vocabulary
        self._queries = SparseBatch.empty()
        self._row_of: dict[str, int] = {}
        for batch in queries:
            for row, text in enumerate(batch.texts, self._queries.n_rows):
                self._row_of.setdefault(text, row)
            self._queries = SparseBatch.concatenate([self._queries, batch.vectors])

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> PrecomputedEncoder:
        """Make an encoder with the vocabulary in a file; see `read_vocabulary`."""
        path = options.get("vocabulary")
        return cls(None if path is None else read_vocabulary(path))

    @classmethod
    def restore(cls, assets: EncoderAssets) -> PrecomputedEncoder:
        arrays = assets.arrays
        if "vocabulary_text" not in arrays:
            return cls()
        text, offsets = arrays["vocabulary_text"], arrays["vocabulary_offsets"]
        return cls(Vocabulary.from_arrays(text, offsets))

    @classmethod
    def restore_documents(cls, assets: EncoderAssets) -> NoReturn:
        """Raise UsageError: there is no model to encode documents with."""
        raise UsageError(
            "the index was made of vectors from elsewhere and has no encoder for text; add vectors "
            "with lsr_index.IndexWriter.add from Python, or index the file of all vectors again"
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """The vocabulary alone; what made the vectors is not known."""
        terms = None if self._vocabulary is None else self._vocabulary.fingerprint
        return Fingerprint({"kind": KIND, "vocabulary": terms}, {"kind": KIND})

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary; without one, all that 32 bits can name."""
        return MAX_TERM_ID + 1 if self._vocabulary is None else len(self._vocabulary)

    def encode_documents(self, texts: Sequence[str]) -> NoReturn:
        """Raise UsageError: the file of vectors itself is indexed."""
        raise UsageError(
            "precomputed: there is no model to encode documents with; give the file of their "
            "vectors (id, indices, values) as the source, or name an encoder"
        )

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Return the vectors of queries; raises UsageError for an unknown text."""
        rows = np.array([self._row(text) for text in texts], np.int64)
        return self._queries.select(rows)

    def assets(self) -> EncoderAssets:
        arrays: dict[str, NDArray[Any]] = {}
        if self._vocabulary is not None:
            text, offsets = self._vocabulary.to_arrays()
            arrays = {"vocabulary_text": text, "vocabulary_offsets": offsets}
        return EncoderAssets({"kind": KIND}, arrays)

    def term(self, term_id: int) -> str:
        return str(term_id) if self._vocabulary is None else self._vocabulary.term(term_id)

    def term_id(self, term: str) -> int | None:
        if self._vocabulary is not None:
            return self._vocabulary.term_id(term)
        if term.isascii() and term.isdigit() and len(term) <= 10 and int(term) <= MAX_TERM_ID:
            return int(term)
        return None

    def _row(self, text: str) -> int:
        row = self._row_of.get(text)
        if row is None:
            raise UsageError(
                f"precomputed: no vector for the query {text!r}; search by term weights, or name "
                "the encoder that made the vectors"
            )
        return row


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a ``tokenizer.json``, or a text with a term a line; raises DataError."""
    if path.suffix == ".json":
        return Vocabulary.from_tokenizer(path)
    return Vocabulary(term for _, term in read_text_lines(path, blank=True))
