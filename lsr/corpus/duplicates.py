"""Duplicate detection of ids in bounded memory: about 36 to 54 bytes an id, however long it is.

An open-addressing table of 128-bit BLAKE2b digests and the place where each was first seen. Two
different ids of a collection of ten million share a digest with a probability of about 1e-25, far
below that of a memory error, so a match counts as equality.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

_FIRST_SLOTS = 1024


class SeenIds:
    """Remembers ids with the line of their first appearance."""

    def __init__(self) -> None:
        self._allocate(_FIRST_SLOTS)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def first_line(self, doc_id: str, line: int) -> int | None:
        """Return where an id was seen before, or remember it as seen at `line` (from 1)."""
        digest = blake2b(doc_id.encode(), digest_size=16).digest()
        high = int.from_bytes(digest[:8], "little")
        low = int.from_bytes(digest[8:], "little")
        slot = self._slot(high, low)
        if self._lines[slot]:
            return self._lines[slot]
        self._high[slot], self._low[slot], self._lines[slot] = high, low, line
        self._n += 1
        if 3 * self._n > 2 * len(self._lines):
            self._grow()
        return None

    def _slot(self, high: int, low: int) -> int:
        lines, mask = self._lines, len(self._lines) - 1
        slot = high & mask
        while lines[slot] and (self._high[slot] != high or self._low[slot] != low):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        old = zip(self._high, self._low, self._lines, strict=True)
        self._allocate(2 * len(self._lines))
        for high, low, line in old:
            if line:
                slot = self._slot(high, low)
                self._high[slot], self._low[slot], self._lines[slot] = high, low, line

    def _allocate(self, n_slots: int) -> None:
        self._high = array("Q", bytes(8 * n_slots))
        self._low = array("Q", bytes(8 * n_slots))
        self._lines = array("Q", bytes(8 * n_slots))
