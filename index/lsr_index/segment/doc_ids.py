"""The documents' own ids (*docnos*) of one segment, and the way back from an id to its position.

Four arrays. ``offsets`` and ``data`` hold the ids one after the other. ``hashes`` holds a 64-bit
hash of each id, rising, and ``order`` the position that each hash belongs to: a lookup is a binary
search in a map, so that opening an index reads no ids at all. Equal hashes are settled by comparing
the ids themselves.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, DataError
from lsr_index.storage.container import Container, ContainerWriter

MAX_ID_BYTES = 512
_CHUNK = 1 << 16
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def encode_id(doc_id: str) -> bytes:
    """Return an id as stored, or raise DataError when it breaks the rule for ids."""
    if not isinstance(doc_id, str):
        raise DataError(f"document id {doc_id!r}: expected a string, got {type(doc_id).__name__}")
    try:
        data = doc_id.encode()
    except UnicodeEncodeError:
        raise DataError(f"document id {doc_id!r}: holds a lone surrogate, no valid text") from None
    if not 1 <= len(data) <= MAX_ID_BYTES or _CONTROL.search(doc_id):
        raise DataError(
            f"document id {doc_id[:80]!r}: an id has 1 to {MAX_ID_BYTES} bytes of UTF-8 "
            "and no control characters"
        )
    return data


def hash_id(data: bytes) -> int:
    """Return the 64-bit hash of an encoded id: BLAKE2b of 8 bytes, read as little-endian."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


class DocIdWriter:
    """Collects ids: about 20 bytes each beside the ids themselves."""

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(self, doc_ids: Sequence[str]) -> None:
        """Append ids; raises DataError for an invalid one."""
        encoded = [encode_id(doc_id) for doc_id in doc_ids]
        digests = b"".join(hashlib.blake2b(data, digest_size=8).digest() for data in encoded)
        self._data.append(b"".join(encoded))
        self._lengths.append(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        self._hashes.append(np.frombuffer(digests, "<u8"))

    def write(self, container: ContainerWriter) -> None:
        """Write the four arrays. Raises DataError when an id was added twice."""
        lengths = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        offsets = np.cumsum(lengths)
        hashes = np.concatenate([np.zeros(0, np.uint64), *self._hashes])
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        hashes = hashes[order]
        data = np.frombuffer(b"".join(self._data), np.uint8)
        _refuse_duplicates(data, offsets, hashes, order)
        container.add("docnos/offsets", offsets)
        container.add("docnos/data", data)
        container.add("docnos/hashes", hashes)
        container.add("docnos/order", order)


def _refuse_duplicates(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    order: NDArray[np.int32],
) -> None:
    for at in np.flatnonzero(hashes[1:] == hashes[:-1]):
        run = order[np.searchsorted(hashes, hashes[at]) : at + 2]
        ids = [data[offsets[i] : offsets[i + 1]].tobytes() for i in run]
        if len(set(ids)) < len(ids):
            raise DataError(
                f"document id {ids[-1].decode()!r} appears twice (documents {run[-2]} and "
                f"{run[-1]}); every document needs its own id"
            )


class DocIdReader:
    """The ids of one segment, read through the map."""

    def __init__(self, container: Container, n_docs: int) -> None:
        self._path: Path = container.path
        self._entry_offset = container.entries["docnos/data"].offset if n_docs else 0
        self.n_docs = n_docs
        self._offsets: NDArray[np.int64] = container.array("docnos/offsets")
        self._data: NDArray[np.uint8] = container.array("docnos/data")
        self._hashes: NDArray[np.uint64] = container.array("docnos/hashes")
        self._order: NDArray[np.int32] = container.array("docnos/order")
        self._check_shapes()

    def raw(self, position: int) -> bytes:
        """Return the id at a position, encoded."""
        start, end = int(self._offsets[position]), int(self._offsets[position + 1])
        if not 0 <= start < end <= len(self._data) or end - start > MAX_ID_BYTES:
            raise self._corrupt(
                f"docnos/offsets: the id of document {position} lies outside of docnos/data"
            )
        return self._data[start:end].tobytes()

    def doc_id(self, position: int) -> str:
        """Return the id at a position."""
        try:
            return self.raw(position).decode()
        except UnicodeDecodeError:
            raise self._corrupt(
                f"docnos/data or docnos/offsets: the id of document {position} is not UTF-8"
            ) from None

    def doc_ids(self, positions: Iterable[int]) -> list[str]:
        """Return the ids at several positions."""
        return [self.doc_id(int(position)) for position in positions]

    def find(self, doc_id: str) -> int | None:
        """Return the position of an id, or None when the segment does not hold it."""
        try:
            data = doc_id.encode()
        except UnicodeEncodeError:
            return None
        wanted = np.uint64(hash_id(data))
        at = int(np.searchsorted(self._hashes, wanted))
        while at < self.n_docs and self._hashes[at] == wanted:
            position = int(self._order[at])
            if not 0 <= position < self.n_docs:
                raise self._corrupt("docnos/order points outside of the segment")
            if self.raw(position) == data:
                return position
            at += 1
        return None

    def find_all(self, doc_ids: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield (index in `doc_ids`, position) of those ids that the segment holds."""
        digests = b"".join(
            hashlib.blake2b(doc_id.encode(), digest_size=8).digest() for doc_id in doc_ids
        )
        wanted = np.frombuffer(digests, "<u8")
        at = np.searchsorted(self._hashes, wanted)
        possible = at < self.n_docs
        possible[possible] = self._hashes[at[possible]] == wanted[possible]
        for i in np.flatnonzero(possible):
            position = self.find(doc_ids[int(i)])
            if position is not None:
                yield int(i), position

    def with_hash(self, value: int) -> list[str]:
        """Return all ids that have a hash."""
        first = int(np.searchsorted(self._hashes, np.uint64(value)))
        last = int(np.searchsorted(self._hashes, np.uint64(value), side="right"))
        return self.doc_ids(self._order[first:last])

    def live_hashes(self, live: NDArray[np.bool_]) -> NDArray[np.uint64]:
        """Return the hashes of the documents for which `live` is True, in no order."""
        return self._hashes[live[self._order]]

    def check(self) -> None:
        """Check that the arrays agree with each other. Raises CorruptIndexError.

        Reads everything, chunk by chunk.
        """
        offsets = self._offsets
        if offsets[0] != 0 or offsets[-1] != len(self._data):
            raise self._corrupt(
                "docnos/offsets do not start at 0 and end at the end of docnos/data"
            )
        sizes = np.diff(offsets)
        if len(sizes) and (sizes.min() < 1 or sizes.max() > MAX_ID_BYTES):
            raise self._corrupt(f"docnos/offsets: an id is not 1 to {MAX_ID_BYTES} bytes long")
        if (self._hashes[1:] < self._hashes[:-1]).any():
            raise self._corrupt("docnos/hashes are not in order")
        seen = np.zeros(self.n_docs, np.bool_)
        order = np.asarray(self._order)
        if self.n_docs and (order.min() < 0 or order.max() >= self.n_docs):
            raise self._corrupt("docnos/order points outside of the segment")
        seen[order] = True
        if not seen.all():
            raise self._corrupt("docnos/order is no permutation")
        self._check_ids()

    def _check_ids(self) -> None:
        previous: set[bytes] = set()
        last = None
        for at in range(self.n_docs):
            position = int(self._order[at])
            try:
                data = encode_id(self.doc_id(position))
            except DataError as error:
                raise self._corrupt(str(error)) from None
            value = int(self._hashes[at])
            if hash_id(data) != value:
                raise self._corrupt(
                    f"docnos/hashes: the hash of the id of document {position} is wrong"
                )
            if value != last:
                previous, last = set(), value
            if data in previous:
                raise self._corrupt(f"docnos/data: the id of document {position} appears twice")
            previous.add(data)

    def _check_shapes(self) -> None:
        wanted: list[tuple[str, NDArray[Any], str, int]] = [
            ("offsets", self._offsets, "<i8", self.n_docs + 1),
            ("data", self._data, "|u1", self._data.size),
            ("hashes", self._hashes, "<u8", self.n_docs),
            ("order", self._order, "<i4", self.n_docs),
        ]
        for name, array, dtype, length in wanted:
            if array.dtype.str != dtype or array.shape != (length,):
                raise self._corrupt(
                    f"docnos/{name} is {array.dtype} of shape {array.shape}, expected "
                    f"{np.dtype(dtype)} of shape ({length},)"
                )

    def _corrupt(self, message: str) -> CorruptIndexError:
        return CorruptIndexError(message, self._path, self._entry_offset)
