"""`TermCounter`: term frequencies of many texts, fast.

Each distinct chunk of text between white space is analysed once and gets a number; the rest is
array arithmetic. The cache of chunks is bounded. Clearing it changes no result, as term ids follow
the order of the text.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lsr.analysis.analyzer import Analyzer
from lsr.sparse import MAX_WEIGHT, SparseBatch
from lsr.vocabulary import Vocabulary

_CACHED_CHUNKS = 1 << 19
_CACHED_CHUNK_CHARS = 40


class TermCounter:
    """Counts the terms of texts; adds new terms to the vocabulary."""

    def __init__(self, analyzer: Analyzer, vocabulary: Vocabulary) -> None:
        self._chunks = _Chunks(analyzer, vocabulary)

    def forget(self) -> None:
        """Clear the cache of term ids, for a vocabulary that lost terms."""
        self._chunks.forget()

    def count(self, texts: Sequence[str]) -> SparseBatch:
        """Return one row of term frequencies, at most `MAX_WEIGHT`, per text."""
        if self._chunks.is_full:
            self._chunks.forget()
        split = [text.split() for text in texts]
        lengths = np.fromiter(map(len, split), np.int64, len(split))
        numbers = np.fromiter(
            map(self._chunks.__getitem__, chain.from_iterable(split)), np.int64, lengths.sum()
        )
        rows, term_ids = self._chunks.expand(np.repeat(np.arange(len(split)), lengths), numbers)
        return _frequencies(len(split), rows, term_ids)


class _Chunks(dict[str, int]):
    """Number of each chunk; the terms of number `i` are ``ids[ends[i]:ends[i + 1]]``."""

    def __init__(self, analyzer: Analyzer, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._analyzer = analyzer
        self._vocabulary = vocabulary
        self.forget()

    def __missing__(self, chunk: str) -> int:
        number = len(self._ends) - 1
        self._ids.extend(map(self._vocabulary.add, self._analyzer.chunk_terms(chunk)))
        self._ends.append(len(self._ids))
        if len(chunk) <= _CACHED_CHUNK_CHARS:
            self[chunk] = number
        return number

    @property
    def is_full(self) -> bool:
        return max(len(self._ends), len(self._ids)) > _CACHED_CHUNKS

    def forget(self) -> None:
        self.clear()
        self._ids = array("I")
        self._ends = array("q", [0])

    def expand(
        self, rows: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Replace each chunk by its terms, none for punctuation."""
        bounds = np.array(self._ends, np.int64)
        starts = bounds[numbers]
        counts = bounds[numbers + 1] - starts
        before = np.cumsum(counts) - counts
        entries = np.arange(counts.sum()) + np.repeat(starts - before, counts)
        return np.repeat(rows, counts), np.array(self._ids, np.uint32)[entries]


def _frequencies(n_rows: int, rows: NDArray[np.int64], term_ids: NDArray[np.uint32]) -> SparseBatch:
    keys = (rows.astype(np.uint64) << np.uint64(32)) | term_ids
    keys.sort()
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    frequencies = np.diff(first.astype(np.int64), append=len(keys))
    distinct = keys[first.astype(np.int64)]
    per_row = np.bincount((distinct >> np.uint64(32)).astype(np.int64), minlength=n_rows)
    weights = np.minimum(frequencies, MAX_WEIGHT).astype(np.float32)
    return SparseBatch.of_lengths(
        per_row, (distinct & np.uint64(0xFFFFFFFF)).astype(np.uint32), weights
    )
