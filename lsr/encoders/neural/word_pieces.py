"""`WordPieces`: the tokenizer of every encoder over a model's vocabulary, without transformers.

Truncation and padding of a stored tokenizer are set anew, so that the result depends on nothing but
the arguments.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers

from lsr.encoders.base import CollectionStatistics
from lsr.errors import ModelError, UsageError


def input_length(asked: int | None, usual: int | None, longest: int) -> int:
    """Return how many pieces of a text to keep: `asked`, or what the model's folder says (`usual`).

    `longest` is what the network can take. Raises UsageError unless `asked` is 3 to `longest`.
    """
    if asked is None:
        return min(usual or longest, longest)
    if not 3 <= asked <= longest:
        raise UsageError(f"max_length = {asked}: expected 3 to {longest}, what the model can take")
    return asked


def batches_by_length(ids: Sequence[NDArray[np.int64]], tokens: int) -> list[NDArray[np.int64]]:
    """Return batches of positions in `ids`, longest first, each of at most `tokens` once padded.

    Texts without pieces are in no batch.
    """
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    batches, start = [], 0
    while start < len(order):
        size = max(1, tokens // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


class WordPieces:
    """A tokenizer with a length limit.

    Parameters
    ----------
    tokenizer_json : str
        The tokenizer in the format of the tokenizers library.
    max_length : int
        Pieces kept of a text, special tokens included.
    prompt : str
        Put in front of every text.
    lowercase : bool
        Lower-case first.
    """

    def __init__(
        self, tokenizer_json: str, *, max_length: int, prompt: str = "", lowercase: bool = False
    ) -> None:
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # the library raises nothing more precise
            raise ModelError(f"the tokenizer cannot be read ({error})") from error
        if lowercase:
            own = self._tokenizer.normalizer
            steps = [normalizers.Lowercase(), *([own] if own else [])]
            self._tokenizer.normalizer = normalizers.Sequence(steps)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        self.max_length = max_length
        self.prompt = prompt

    @cached_property
    def n_terms(self) -> int:
        """Size of the vocabulary, added tokens included: every id is smaller."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values())

    def to_json(self) -> str:
        return str(self._tokenizer.to_str())

    @cached_property
    def special_ids(self) -> NDArray[np.int64]:
        """Ids of the special tokens, sorted; they are no words of any text."""
        added = json.loads(self.to_json()).get("added_tokens", [])
        return np.array(sorted(t["id"] for t in added if t.get("special")), dtype=np.int64)

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return the piece ids of each text, special tokens included, cut to `max_length`.

        A text without a single piece (empty, white space) gives an empty array. Unknown characters
        are a piece, though `count` does not count it.
        """
        prompted = [self.prompt + text for text in texts] if self.prompt else list(texts)
        encodings = self._tokenizer.encode_batch_fast(prompted)
        ids = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
        added = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        nothing = np.zeros(0, np.int64)
        return [
            row if len(row) > added and text.strip() else nothing
            for row, text in zip(ids, texts, strict=True)
        ]

    def count(self, texts: Sequence[str], ids: Sequence[NDArray[np.int64]]) -> CollectionStatistics:
        """Count the pieces of texts, `ids` of `encode`, without prompt and special tokens."""
        own = [self._own(row) for row in (self._without_prompt(texts) if self.prompt else ids)]
        frequency = np.zeros(self.n_terms, np.int64)
        for row in own:
            frequency[np.unique(row)] += 1
        return CollectionStatistics(len(own), sum(map(len, own)), frequency)

    def term(self, term_id: int) -> str:
        piece: str | None = self._tokenizer.id_to_token(term_id)
        # Output layers are padded to round sizes: such rows have no piece.
        return f"[{term_id}]" if piece is None else piece

    def term_id(self, term: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(term)
        return found

    def _own(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return ids[~self._is_special[ids]]

    @cached_property
    def _is_special(self) -> NDArray[np.bool_]:
        mask = np.zeros(self.n_terms, np.bool_)
        mask[self.special_ids] = True
        return mask

    def _without_prompt(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Encode with offsets and keep what starts behind the prompt."""
        encodings = self._tokenizer.encode_batch([self.prompt + text for text in texts])
        return [
            np.array(
                [
                    piece
                    for piece, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)
                    if start >= len(self.prompt)
                ],
                dtype=np.int64,
            )
            for encoding in encodings
        ]
