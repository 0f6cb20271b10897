"""`Vocabulary`: terms and their 32-bit ids, in both directions.

Ids are positions: the first term is 0. A vocabulary only grows at its end, so an id keeps its
meaning. A term is a non-empty string; an id without a term (a gap in the vocabulary of a published
tokenizer, a padded model head) holds the empty string, and no term is found there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError, UsageError
from lsr.sparse import MAX_TERM_ID


class Vocabulary:
    """A growing list of distinct terms.

    `terms` come in the order of their ids; an empty string leaves its id without a term. Raises
    DataError for a term that appears twice or is no valid Unicode.
    """

    def __init__(self, terms: Iterable[str] = ()) -> None:
        self._terms: list[str] = []
        self._ids: dict[str, int] = {}
        self._hash = hashlib.sha256()
        self._hashed = 0
        for term in terms:
            if term in self._ids:
                raise DataError(
                    f"vocabulary: term {term!r} has the ids {self._ids[term]} and "
                    f"{len(self._terms)}; expected every term once, remove one of them"
                )
            self._append(term)

    @classmethod
    def from_mapping(cls, ids: Mapping[str, int], size: int | None = None) -> Vocabulary:
        """Make a vocabulary of ``{term: id}``, such as that of a tokenizer; ids may leave gaps.

        `size` is that of the result, for a model with more outputs than terms. Raises DataError for
        two terms with one id, or an id outside of 32 bits or `size`.
        """
        length = max(ids.values(), default=-1) + 1 if size is None else size
        if length > MAX_TERM_ID + 1:
            raise DataError(f"vocabulary: term id {length - 1} is outside of 32 bits")
        terms = [""] * length
        for term, term_id in ids.items():
            if not 0 <= term_id < len(terms):
                raise DataError(
                    f"vocabulary: term {term!r} has the id {term_id}; "
                    f"expected 0 to {len(terms) - 1}"
                )
            if terms[term_id]:
                raise DataError(
                    f"vocabulary: terms {terms[term_id]!r} and {term!r} share the id {term_id}; "
                    "expected an id of its own for each"
                )
            terms[term_id] = term
        return cls(terms)

    @classmethod
    def from_tokenizer(cls, path: Path | str, size: int | None = None) -> Vocabulary:
        """Read the vocabulary of a Hugging Face ``tokenizer.json``; raises DataError."""
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise DataError(f"{path}: not a readable tokenizer.json ({error})") from error
        return cls.from_mapping(tokenizer.get_vocab(with_added_tokens=True), size)

    @classmethod
    def from_arrays(cls, text: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Vocabulary:
        """Make a vocabulary of the arrays of `to_arrays`; raises DataError for damaged ones."""
        steps = np.diff(offsets)
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(text) or (steps < 0).any():
            raise DataError(
                f"vocabulary: offsets must start at 0, never fall and end at {len(text)}, "
                "the number of bytes; the arrays are damaged"
            )
        data, bounds = text.tobytes(), offsets.tolist()
        try:
            terms = [data[start:end].decode() for start, end in pairwise(bounds)]
        except UnicodeDecodeError as error:
            raise DataError(f"vocabulary: a term is not UTF-8 ({error})") from error
        return cls(terms)

    def to_arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the terms as compact arrays.

        Returns
        -------
        text : (n_bytes,) uint8
            All terms in UTF-8, one after the other.
        offsets : (n_terms + 1,) int64
            Term `i` is ``text[offsets[i]:offsets[i + 1]]``.
        """
        encoded = [term.encode() for term in self._terms]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return np.frombuffer(b"".join(encoded), np.uint8), offsets

    def to_mapping(self) -> dict[str, int]:
        """Return ``{term: id}``, without the ids that have no term."""
        return dict(self._ids)

    def add(self, term: str) -> int:
        """Return the id of a term, giving it the next free one when it is new."""
        known = self._ids.get(term)
        if known is not None:
            return known
        if not term:
            raise DataError("vocabulary: a term must not be empty")
        return self._append(term)

    def truncate(self, n_terms: int) -> None:
        """Forget the terms from id `n_terms` on."""
        for term in self._terms[n_terms:]:
            self._ids.pop(term, None)
        del self._terms[n_terms:]
        if self._hashed > n_terms:
            self._hash, self._hashed = hashlib.sha256(), 0

    def term(self, term_id: int) -> str:
        """Return the term with an id, empty in a gap; raises UsageError for an id not yet given."""
        if not 0 <= term_id < len(self._terms):
            raise UsageError(f"term id {term_id}: this vocabulary has {len(self._terms)} terms")
        return self._terms[term_id]

    def term_id(self, term: str) -> int | None:
        """Return the id of a term, or None for an unknown one."""
        return self._ids.get(term)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the terms in order, 64 hexadecimal digits. Costs only what grew since."""
        for term in self._terms[self._hashed :]:
            encoded = term.encode()
            self._hash.update(len(encoded).to_bytes(4, "little") + encoded)
        self._hashed = len(self._terms)
        return self._hash.hexdigest()

    def __len__(self) -> int:
        return len(self._terms)

    def __iter__(self) -> Iterator[str]:
        return iter(self._terms)

    def __contains__(self, term: object) -> bool:
        return term in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._terms == other._terms

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} terms, {self.fingerprint[:12]})"

    def _append(self, term: str) -> int:
        term_id = len(self._terms)
        if term_id > MAX_TERM_ID:
            raise DataError("vocabulary: full, 2^32 terms is the most that 32-bit ids can name")
        if not term.isascii():
            try:
                term.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"vocabulary: term {term_id} is no valid Unicode ({error.reason})"
                ) from error
        self._terms.append(term)
        if term:
            self._ids[term] = term_id
        return term_id
