"""Deleted documents of a segment: a bitmap, written anew when it changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr_index.storage.container import Container
from lsr_index.storage.manifest import SegmentEntry

Words = NDArray[np.uint64]
"""A bitmap: bit ``d % 64`` of word ``d // 64`` belongs to document ``d``; spare bits are 0."""


def n_words(n_docs: int) -> int:
    """Return how many words a bitmap of `n_docs` documents has."""
    return (n_docs + 63) // 64


def words_of(mask: NDArray[np.bool_]) -> Words:
    """Pack a mask, one element per document, into a bitmap."""
    packed = np.zeros(n_words(len(mask)) * 8, np.uint8)
    bits = np.packbits(mask, bitorder="little")
    packed[: len(bits)] = bits
    return packed.view("<u8")


def mask_of(words: Words, n_docs: int) -> NDArray[np.bool_]:
    """Unpack a bitmap into one element per document."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little")
    return bits[:n_docs].view(np.bool_)


def count(words: Words) -> int:
    """Return how many bits are set."""
    return int(np.bitwise_count(words).sum())


def complement(words: Words, n_docs: int) -> Words:
    """Return the bitmap of the documents that are not in `words`."""
    result: Words = ~words
    if n_docs % 64:
        result[-1] &= np.uint64((1 << n_docs % 64) - 1)
    return result


def read_deletes(container: Container, segment: SegmentEntry) -> Words:
    """Read the bitmap of a segment; always compares its checksum.

    The file is small, and a wrong bit would bring back a document.
    """
    container.check()
    words: Words = container.typed("deleted", "<u8", (n_words(segment.n_docs),), "the segment")
    if container.params.get("segment") != segment.file.uuid:
        raise container.corrupt("deleted", "the bitmap belongs to another segment")
    spare = segment.n_docs % 64
    if (spare and int(words[-1]) >> spare) or count(words) != segment.n_deleted:
        what = f"the bitmap does not have the {segment.n_deleted} bits that the manifest says"
        raise container.corrupt("deleted", what)
    return words
