"""Document ids (*docnos*) of one segment, and the lookup of the position of an id.

``offsets`` and ``data`` hold the ids one after the other. ``hashes`` holds a 64-bit hash of each
id, ascending, and ``order`` the position of each hash: a lookup is a binary search in a map, so
opening an index reads no ids. Equal hashes are settled by comparing the ids.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lsr.errors import DataError
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


def hash_ids(encoded: Iterable[bytes]) -> NDArray[np.uint64]:
    """Return the 64-bit hashes of encoded ids: BLAKE2b of 8 bytes, read as little-endian."""
    digests = b"".join(hashlib.blake2b(data, digest_size=8).digest() for data in encoded)
    return np.frombuffer(digests, "<u8")


class DocIdWriter:
    """Collects ids: about 20 bytes each beside the ids themselves."""

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._hashes: list[NDArray[np.uint64]] = []

    def add(self, doc_ids: Sequence[str]) -> None:
        """Append ids; raises DataError for an invalid one."""
        encoded = [encode_id(doc_id) for doc_id in doc_ids]
        self._data.append(b"".join(encoded))
        self._lengths.append(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        self._hashes.append(hash_ids(encoded))

    def write(self, container: ContainerWriter) -> None:
        """Write the four arrays. Raises DataError when an id was added twice."""
        lengths = np.concatenate([np.zeros(1, np.int64), *self._lengths])
        offsets = np.cumsum(lengths)
        hashes = np.concatenate([np.zeros(0, np.uint64), *self._hashes])
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        hashes = hashes[order]
        data = np.frombuffer(b"".join(self._data), np.uint8)

        def id_of(document: int) -> bytes:
            return data[offsets[document] : offsets[document + 1]].tobytes()

        if repeated := _repeated(hashes, order, id_of):
            first, second = repeated
            raise DataError(
                f"document id {id_of(second).decode()!r} appears twice (documents {first} and "
                f"{second}); every document needs its own id"
            )
        container.add("docnos/offsets", offsets)
        container.add("docnos/data", data)
        container.add("docnos/hashes", hashes)
        container.add("docnos/order", order)


class DocIdReader:
    """The ids of one segment, read through the map."""

    def __init__(self, container: Container, n_docs: int) -> None:
        self._corrupt = container.corrupt
        self.n_docs = n_docs
        self._offsets: NDArray[np.int64] = container.typed("docnos/offsets", "<i8", (n_docs + 1,))
        self._data: NDArray[np.uint8] = container.typed("docnos/data", "|u1", (None,))
        self._hashes: NDArray[np.uint64] = container.typed("docnos/hashes", "<u8", (n_docs,))
        self._order: NDArray[np.int32] = container.typed("docnos/order", "<i4", (n_docs,))

    def raw(self, position: int) -> bytes:
        """Return the id at a position, encoded."""
        start, end = int(self._offsets[position]), int(self._offsets[position + 1])
        if not 0 <= start < end <= len(self._data) or end - start > MAX_ID_BYTES:
            what = f"the id of document {position} lies outside of docnos/data"
            raise self._corrupt("docnos/offsets", what)
        return self._data[start:end].tobytes()

    def doc_id(self, position: int) -> str:
        """Return the id at a position."""
        try:
            return self.raw(position).decode()
        except UnicodeDecodeError:
            what = f"the id of document {position} (docnos/offsets) is not UTF-8"
            raise self._corrupt("docnos/data", what) from None

    def doc_ids(self, positions: Iterable[int]) -> list[str]:
        """Return the ids at several positions."""
        return [self.doc_id(int(position)) for position in positions]

    def find(self, doc_id: str) -> int | None:
        """Return the position of an id, or None when the segment does not hold it."""
        try:
            data = doc_id.encode()
        except UnicodeEncodeError:
            return None
        wanted = hash_ids([data])[0]
        at = int(np.searchsorted(self._hashes, wanted))
        while at < self.n_docs and self._hashes[at] == wanted:
            position = int(self._order[at])
            if not 0 <= position < self.n_docs:
                raise self._corrupt("docnos/order", "it points outside of the segment")
            if self.raw(position) == data:
                return position
            at += 1
        return None

    def find_all(self, doc_ids: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield (index in `doc_ids`, position) of those ids that the segment holds."""
        wanted = hash_ids(doc_id.encode(errors="replace") for doc_id in doc_ids)
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
        """Return the hashes of the documents where `live`, (n_docs,), is True; in no order."""
        return self._hashes[live[self._order]]

    def check(self) -> None:
        """Check that the arrays agree; reads everything. Raises CorruptIndexError."""
        offsets = self._offsets
        if offsets[0] != 0 or offsets[-1] != len(self._data):
            what = "it does not go from 0 to the end of docnos/data"
            raise self._corrupt("docnos/offsets", what)
        sizes = np.diff(offsets)
        if len(sizes) and (sizes.min() < 1 or sizes.max() > MAX_ID_BYTES):
            what = f"an id is not 1 to {MAX_ID_BYTES} bytes long"
            raise self._corrupt("docnos/offsets", what)
        if (self._hashes[1:] < self._hashes[:-1]).any():
            raise self._corrupt("docnos/hashes", "it is not in order")
        if not np.array_equal(np.sort(self._order), np.arange(self.n_docs)):
            raise self._corrupt("docnos/order", "it does not hold every document once")
        hash_of = np.empty_like(self._hashes)
        hash_of[self._order] = self._hashes
        for start in range(0, self.n_docs, _CHUNK):
            positions = range(start, min(start + _CHUNK, self.n_docs))
            try:
                encoded = [encode_id(doc_id) for doc_id in self.doc_ids(positions)]
            except DataError as error:
                raise self._corrupt("docnos/data", str(error)) from None
            wrong = np.flatnonzero(hash_ids(encoded) != hash_of[start : positions.stop])
            if len(wrong):
                what = f"the hash of the id of document {start + wrong[0]} is wrong"
                raise self._corrupt("docnos/hashes", what)
        if repeated := _repeated(self._hashes, self._order, self.raw):
            raise self._corrupt("docnos/data", f"the id of document {repeated[1]} appears twice")


def _repeated(
    hashes: NDArray[np.uint64], order: NDArray[np.int32], id_of: Callable[[int], bytes]
) -> tuple[int, int] | None:
    """Return two documents with one id, if there are any: their hashes are neighbours."""
    for at in np.flatnonzero(hashes[1:] == hashes[:-1]):
        run = order[np.searchsorted(hashes, hashes[at]) : at + 2].tolist()
        ids = [id_of(document) for document in run]
        if len(set(ids)) < len(ids):
            return run[ids.index(ids[-1])], run[-1]
    return None
