"""Text, title and metadata of the documents of one segment, compressed in blocks.

A block holds neighbouring documents, about 16 KiB before compression (Zstandard), and has its own
checksum, which every read compares: fetching a document reads one block. A block, decompressed:
three u32 lengths per document (title, text, metadata), then these three strings of each document;
metadata is JSON, empty for none.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from lsr.errors import DataError
from lsr_index.storage.container import Container, ContainerWriter

BLOCK_BYTES = 16 << 10
BLOCK_DOCS = 512
MAX_BLOCK_BYTES = 64 << 20
MAX_RECORD_BYTES = 32 << 20
_LEVEL = 3


class Record(NamedTuple):
    """Stored fields of a document beside its id and its vector."""

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
    """Streams documents into a container; holds one block, and 24 bytes per finished one."""

    def __init__(self, container: ContainerWriter) -> None:
        self._container = container
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._pending: list[list[bytes]] = []
        self._pending_bytes = 0
        self._ends = [(0, 0)]  # of each block: documents and bytes up to it
        self._blocks: list[tuple[int, int]] = []  # size before compression, checksum
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
        ends = np.array(self._ends, np.int64).T
        blocks = np.array(self._blocks, np.uint32).reshape(-1, 2).T
        self._container.add("documents/first_docs", ends[0].astype(np.int32))
        self._container.add("documents/starts", ends[1])
        self._container.add("documents/sizes", blocks[0])
        self._container.add("documents/crc32", blocks[1])

    def _flush(self) -> None:
        lengths = np.array([[len(part) for part in parts] for parts in self._pending], "<u4")
        raw = lengths.tobytes() + b"".join(part for parts in self._pending for part in parts)
        block = self._compressor.compress(raw)
        self._container.append(block)
        n_docs, n_bytes = self._ends[-1]
        self._ends.append((n_docs + len(self._pending), n_bytes + len(block)))
        self._blocks.append((len(raw), zlib.crc32(block)))
        self._pending, self._pending_bytes = [], 0


class Block(NamedTuple):
    """A decompressed block: string `i` is ``raw[starts[i]:starts[i + 1]]``, three per document."""

    raw: bytes
    starts: NDArray[np.int64]

    @property
    def n_docs(self) -> int:
        """Documents in the block."""
        return len(self.starts) // 3

    def parts(self, at: int) -> list[bytes]:
        """Return title, text and metadata of a document of the block."""
        places = self.starts[3 * at : 3 * at + 4].tolist()
        return [self.raw[start:end] for start, end in pairwise(places)]


class _ThreadLocal(threading.local):
    """The decompressor of each thread: making one takes as long as using it does."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()


_of_this_thread = _ThreadLocal()
_UNCOVERED = "with documents/starts, it does not cover the segment"


class DocumentReader:
    """The documents of one segment, read through the map."""

    def __init__(self, container: Container, n_docs: int) -> None:
        self._corrupt = container.corrupt
        self.n_docs = n_docs
        self._data: NDArray[np.uint8] = container.typed("documents/data", "|u1", (None,))
        self._sizes: NDArray[np.uint32] = container.typed("documents/sizes", "<u4", (None,))
        n_blocks = len(self._sizes)

        def array(name: str, dtype: str, length: int) -> NDArray[Any]:
            return container.typed(f"documents/{name}", dtype, (length,), "documents/sizes")

        self._first_docs: NDArray[np.int32] = array("first_docs", "<i4", n_blocks + 1)
        self._starts: NDArray[np.int64] = array("starts", "<i8", n_blocks + 1)
        self._checksums: NDArray[np.uint32] = array("crc32", "<u4", n_blocks)
        if self._first_docs[0] != 0 or self._first_docs[-1] != n_docs:
            raise self._corrupt("documents/first_docs", _UNCOVERED)

    def records(self, positions: Sequence[int]) -> list[Record]:
        """Return several documents, decompressing each block once."""
        wanted = np.asarray(positions, np.int64)
        blocks = np.searchsorted(self._first_docs, wanted, side="right") - 1
        opened = {int(block): self._block(int(block)) for block in np.unique(blocks)}
        found = []
        for position, number in zip(wanted.tolist(), blocks.tolist(), strict=True):
            block, at = opened[number], position - int(self._first_docs[number])
            if not 0 <= at < block.n_docs:
                what = f"document {position} is not in its block"
                raise self._corrupt("documents/first_docs", what)
            found.append(self._decode(position, block.parts(at)))
        return found

    def all_parts(self) -> Iterator[list[bytes]]:
        """Yield every document as stored, in order."""
        for number in range(len(self._sizes)):
            block = self._block(number)
            yield from (block.parts(at) for at in range(block.n_docs))

    def check(self) -> None:
        """Decompress and parse every document. Raises CorruptIndexError."""
        if (np.diff(self._first_docs) < 1).any() or (np.diff(self._starts) < 1).any():
            raise self._corrupt("documents/first_docs", "it or documents/starts is not in order")
        if self._starts[0] != 0 or self._starts[-1] != len(self._data):
            raise self._corrupt("documents/first_docs", _UNCOVERED)
        for position, parts in enumerate(self.all_parts()):
            self._decode(position, parts)

    def _block(self, block: int) -> Block:
        if not 0 <= block < len(self._sizes):
            raise self._corrupt("documents/first_docs", _UNCOVERED)
        start, end = int(self._starts[block]), int(self._starts[block + 1])
        count = int(self._first_docs[block + 1]) - int(self._first_docs[block])
        if not 0 <= start <= end <= len(self._data):
            what = f"block {block} lies outside of documents/data"
            raise self._corrupt("documents/starts", what)
        data = self._data[start:end].tobytes()
        if zlib.crc32(data) != self._checksums[block]:
            what = f"block {block} (documents/starts) does not match documents/crc32"
            raise self._corrupt("documents/data", what, start)
        raw = self._decompressed(data, int(self._sizes[block]), block, start)
        if not 0 < count * 12 <= len(raw):
            what = f"block {block} cannot hold {count} documents"
            raise self._corrupt("documents/first_docs", what)
        starts = np.full(3 * count + 1, 12 * count, np.int64)
        starts[1:] += np.cumsum(np.frombuffer(raw, "<u4", 3 * count), dtype=np.int64)
        if starts[-1] != len(raw):
            what = f"the documents of block {block} do not fill it"
            raise self._corrupt("documents/first_docs", what)
        return Block(raw, starts)

    def _decompressed(self, data: bytes, size: int, block: int, start: int) -> bytes:
        # The frame's own size is compared before anything is allocated for it.
        try:
            if size > MAX_BLOCK_BYTES or zstandard.frame_content_size(data) != size:
                what = f"block {block} has another size than it must"
                raise self._corrupt("documents/sizes", what)
            return _of_this_thread.decompressor.decompress(data)
        except zstandard.ZstdError as error:
            what = f"block {block} cannot be decompressed: {error}"
            raise self._corrupt("documents/data", what, start) from None

    def _decode(self, position: int, parts: list[bytes]) -> Record:
        try:
            title, text, stored = (part.decode() for part in parts)
            metadata = json.loads(stored) if stored else {}
        except (ValueError, RecursionError):
            what = f"document {position} is not UTF-8 and JSON"
            raise self._corrupt("documents/data", what) from None
        if not isinstance(metadata, dict):
            what = f"the metadata of document {position} is no object"
            raise self._corrupt("documents/data", what)
        return Record(title, text, metadata)
