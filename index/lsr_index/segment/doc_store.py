"""Text, title and metadata of the documents of one segment, compressed in small blocks.

A block holds neighbouring documents, about 16 KiB before compression (Zstandard), and has a
checksum of its own that every read checks: fetching one document reads one block, and never returns
damaged text. Inside a block, decompressed: three u32 lengths per document (title, text, metadata),
then these three strings of each document one after the other; metadata is JSON, empty for none.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, DataError
from lsr_index.storage.container import Container, ContainerWriter

BLOCK_BYTES = 16 << 10
BLOCK_DOCS = 512
MAX_BLOCK_BYTES = 64 << 20
MAX_RECORD_BYTES = 32 << 20
_LEVEL = 3


class Record(NamedTuple):
    """What is stored of a document beside its id and its vector."""

    title: str
    text: str
    metadata: dict[str, Any]


def encode_record(doc_id: str, title: str, text: str, metadata: Mapping[str, Any]) -> list[bytes]:
    """Return the three strings stored of a document, or raise DataError naming it."""
    try:
        _require_64_bits(metadata)
        stored = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False) if metadata else ""
        parts = [title.encode(), text.encode(), stored.encode()]
    except (ValueError, TypeError, RecursionError) as error:
        what = "a lone surrogate" if isinstance(error, UnicodeEncodeError) else str(error)
        raise DataError(
            f"document {doc_id!r}: cannot be stored as UTF-8 and JSON: {what}"
        ) from None
    if sum(map(len, parts)) > MAX_RECORD_BYTES:
        raise DataError(
            f"document {doc_id!r}: {sum(map(len, parts))} bytes, at most {MAX_RECORD_BYTES} are "
            "stored; split it into passages"
        )
    return parts


def _require_64_bits(value: Any) -> None:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _require_64_bits(item)
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise ValueError("an integer of more than 64 bits; write it as a string")


class DocumentWriter:
    """Streams documents into the container; holds one block and 24 bytes per finished one."""

    def __init__(self, container: ContainerWriter) -> None:
        self._container = container
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._pending: list[list[bytes]] = []
        self._pending_bytes = 0
        self._n_docs = 0
        self._bytes = 0
        self._first_docs = [0]
        self._starts = [0]
        self._sizes: list[int] = []
        self._checksums: list[int] = []
        container.begin("documents/data", np.uint8)

    def add(self, parts: list[bytes]) -> None:
        """Append a document as `encode_record` returns it."""
        size = sum(map(len, parts)) + 12
        full = self._pending_bytes + size > BLOCK_BYTES or len(self._pending) >= BLOCK_DOCS
        if self._pending and full:
            self._flush()
        self._pending.append(parts)
        self._pending_bytes += size

    def finish(self) -> None:
        """Write what is left, and the arrays that find the blocks."""
        if self._pending:
            self._flush()
        self._container.end()
        self._container.add("documents/first_docs", np.array(self._first_docs, np.int32))
        self._container.add("documents/starts", np.array(self._starts, np.int64))
        self._container.add("documents/sizes", np.array(self._sizes, np.uint32))
        self._container.add("documents/crc32", np.array(self._checksums, np.uint32))

    def _flush(self) -> None:
        lengths = np.array([[len(part) for part in parts] for parts in self._pending], "<u4")
        raw = lengths.tobytes() + b"".join(part for parts in self._pending for part in parts)
        block = self._compressor.compress(raw)
        self._container.append(block)
        self._n_docs += len(self._pending)
        self._bytes += len(block)
        self._first_docs.append(self._n_docs)
        self._starts.append(self._bytes)
        self._sizes.append(len(raw))
        self._checksums.append(zlib.crc32(block))
        self._pending, self._pending_bytes = [], 0


@dataclass(frozen=True, slots=True)
class Block:
    """A block, decompressed.

    Attributes
    ----------
    raw : bytes
    starts : (3 * n_docs + 1,) int64
        Where each string begins; the last one ends where the block does.
    """

    raw: bytes
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) // 3

    def parts(self, at: int) -> list[bytes]:
        """Return title, text and metadata of a document of the block."""
        places = self.starts[3 * at : 3 * at + 4].tolist()
        return [self.raw[start:end] for start, end in pairwise(places)]


_of_this_thread = threading.local()


def _decompressor() -> zstandard.ZstdDecompressor:
    """Return the decompressor of this thread: making one takes as long as using it does."""
    if not hasattr(_of_this_thread, "decompressor"):
        _of_this_thread.decompressor = zstandard.ZstdDecompressor()
    found: zstandard.ZstdDecompressor = _of_this_thread.decompressor
    return found


class DocumentReader:
    """The documents of one segment, read through the map."""

    def __init__(self, container: Container, n_docs: int) -> None:
        self._path = container.path
        self.n_docs = n_docs
        self._data: NDArray[np.uint8] = container.array("documents/data")
        self._first_docs: NDArray[np.int32] = container.array("documents/first_docs")
        self._starts: NDArray[np.int64] = container.array("documents/starts")
        self._sizes: NDArray[np.uint32] = container.array("documents/sizes")
        self._checksums: NDArray[np.uint32] = container.array("documents/crc32")
        self._offset = container.entries["documents/data"].offset
        self._check_shapes()

    def parts(self, position: int) -> list[bytes]:
        """Return title, text and metadata of a document as stored."""
        block = int(np.searchsorted(self._first_docs, position, side="right")) - 1
        return self._within(self._block(block), block, position)

    def record(self, position: int) -> Record:
        """Return a document's title, text and metadata."""
        return self._decode(position, self.parts(position))

    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return several documents, decompressing each block once."""
        wanted = np.asarray(positions, np.int64)
        blocks = np.searchsorted(self._first_docs, wanted, side="right") - 1
        opened = {int(block): self._block(int(block)) for block in np.unique(blocks)}
        return [
            self._decode(int(p), self._within(opened[int(b)], int(b), int(p)))
            for p, b in zip(wanted, blocks, strict=True)
        ]

    def all_parts(self) -> Iterator[list[bytes]]:
        """Yield every document as stored, in order."""
        for number in range(len(self._sizes)):
            block = self._block(number)
            yield from (block.parts(at) for at in range(len(block)))

    def check(self) -> None:
        """Decompress and parse everything. Raises CorruptIndexError."""
        if (np.diff(self._first_docs) < 1).any() or (np.diff(self._starts) < 1).any():
            raise self._corrupt("documents/first_docs or documents/starts are not in order", 0)
        ends = (self._first_docs[0], self._first_docs[-1], self._starts[0], self._starts[-1])
        if ends != (0, self.n_docs, 0, len(self._data)):
            raise self._corrupt(
                "documents/first_docs or documents/starts do not cover the segment", 0
            )
        for position, parts in enumerate(self.all_parts()):
            self._decode(position, parts)

    def _within(self, opened: Block, block: int, position: int) -> list[bytes]:
        at = position - int(self._first_docs[block])
        if not 0 <= at < len(opened):
            raise self._corrupt(f"documents/first_docs: document {position} is not in its block", 0)
        return opened.parts(at)

    def _block(self, block: int) -> Block:
        if not 0 <= block < len(self._sizes):
            raise self._corrupt(
                "documents/first_docs or documents/starts do not cover the segment", 0
            )
        start, end = int(self._starts[block]), int(self._starts[block + 1])
        count = int(self._first_docs[block + 1]) - int(self._first_docs[block])
        if not 0 <= start <= end <= len(self._data):
            raise self._corrupt(
                f"documents/starts: block {block} lies outside of documents/data", 0
            )
        data = self._data[start:end].tobytes()
        if zlib.crc32(data) != self._checksums[block]:
            raise self._corrupt(
                f"documents/data: block {block} (documents/starts) does not match documents/crc32",
                start,
            )
        raw = self._decompressed(data, int(self._sizes[block]), block, start)
        if not 0 < count * 12 <= len(raw):
            raise self._corrupt(
                f"documents/first_docs: block {block} cannot hold {count} documents", start
            )
        starts = np.full(3 * count + 1, 12 * count, np.int64)
        starts[1:] += np.cumsum(np.frombuffer(raw, "<u4", 3 * count), dtype=np.int64)
        if starts[-1] != len(raw):
            raise self._corrupt(
                f"documents/first_docs: the documents of block {block} do not fill it", start
            )
        return Block(raw, starts)

    def _decompressed(self, data: bytes, size: int, block: int, start: int) -> bytes:
        # The frame's own size is compared before anything is allocated for it.
        try:
            if size > MAX_BLOCK_BYTES or zstandard.frame_content_size(data) != size:
                raise self._corrupt(
                    f"documents/sizes: block {block} has another size than it must", start
                )
            return _decompressor().decompress(data)
        except zstandard.ZstdError as error:
            raise self._corrupt(
                f"documents/data: block {block} cannot be decompressed: {error}", start
            ) from None

    def _decode(self, position: int, parts: list[bytes]) -> Record:
        try:
            title, text, stored = (part.decode() for part in parts)
            metadata = json.loads(stored) if stored else {}
        except (ValueError, RecursionError):
            raise self._corrupt(
                f"documents/data: document {position} is not UTF-8 and JSON", 0
            ) from None
        if not isinstance(metadata, dict):
            raise self._corrupt(
                f"documents/data: the metadata of document {position} is no object", 0
            )
        return Record(title, text, metadata)

    def _check_shapes(self) -> None:
        n_blocks = len(self._sizes) if self._sizes.ndim == 1 else -1
        wanted: list[tuple[str, NDArray[Any], str, int]] = [
            ("data", self._data, "|u1", self._data.size),
            ("first_docs", self._first_docs, "<i4", n_blocks + 1),
            ("starts", self._starts, "<i8", n_blocks + 1),
            ("sizes", self._sizes, "<u4", n_blocks),
            ("crc32", self._checksums, "<u4", n_blocks),
        ]
        for name, array, dtype, length in wanted:
            if array.dtype.str != dtype or array.shape != (length,):
                raise self._corrupt(
                    f"documents/{name} is {array.dtype} of shape {array.shape}, expected "
                    f"{np.dtype(dtype)} of shape ({length},) by documents/sizes",
                    0,
                )
        if self._first_docs[0] != 0 or self._first_docs[-1] != self.n_docs:
            raise self._corrupt(
                "documents/first_docs or documents/starts do not cover the segment", 0
            )

    def _corrupt(self, message: str, offset: int) -> CorruptIndexError:
        return CorruptIndexError(message, self._path, self._offset + offset)
