"""The container: a checksummed, write-once file of named arrays.

Segments, deletion bitmaps and encoders are containers. A file is written front to back in one pass,
so arrays larger than memory can be streamed into it, and read through a map, so that opening takes
the same time whatever its size::

    prefix      64 bytes   magic, format version, kind
    arrays      each at a multiple of 64 bytes, zero padding between
    directory   JSON: params; name, dtype, shape, offset, nbytes and crc32 of every array
    footer      64 bytes   where the directory is, its crc32, the file's length and identity, magic

Everything but the array data is checked at open. The identity (`uuid`) is a hash of all bytes
before the footer. docs/index-format.md is the specification.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, FormatVersionError
from lsr_index.storage.directory import Files, OutputFile

MAGIC = b"\x89LSRIDX\n"
FORMAT_VERSION = 1
OLDEST_SUPPORTED = 1
ALIGNMENT = 64
MAX_DIRECTORY_BYTES = 16 << 20
MAX_DIMENSIONS = 3

DTYPES = ("|u1", "<u2", "<u4", "<u8", "|i1", "<i2", "<i4", "<i8", "<f4", "<f8")

_PREFIX = struct.Struct("<8sII16s32x")
_FOOTER = struct.Struct("<QQIIQ16s8x8s")
_HEX = re.compile(r"[0-9a-f]+")


class ArrayEntry(NamedTuple):
    """Location of one array in a container. `crc32` covers its bytes, not the padding after it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A container as a manifest names it: ``segment``, ``deletes`` or ``encoder``.

    `uuid` is its identity, `sha256` that of the whole file: 32 and 64 hexadecimal digits.
    """

    kind: str
    uuid: str
    length: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name in the folder of the index."""
        return f"{self.kind}-{self.uuid}.lsr"

    @classmethod
    def from_json(cls, body: Any, kind: str) -> Self | None:
        """Read and check the entry of a file of a kind. Raises ValueError, KeyError, TypeError."""
        if not body:
            return None
        entry = cls(**body)
        if entry.kind != kind:
            raise ValueError(f"expected a file of kind {kind!r}")
        # Names are made of these, so nothing but hexadecimal digits may pass.
        for digits, length in ((entry.uuid, 32), (entry.sha256, 64)):
            if len(digits) != length or not _HEX.fullmatch(digits):
                raise ValueError(f"expected {length} hexadecimal digits")
        whole_number(body, "length", 2**63)
        return entry


def whole_number(body: Any, key: str, largest: int) -> int:
    """Return a number of a JSON object, or raise ValueError unless it is from 0 to `largest`."""
    value = body[key]
    if type(value) is not int or not 0 <= value <= largest:
        raise ValueError(f"{key} must be a whole number from 0 to {largest}")
    return value


class ContainerWriter:
    """Writes one container into an open file; the caller syncs and closes that file."""

    def __init__(self, out: OutputFile, kind: str) -> None:
        self._out = out
        self._entries: list[ArrayEntry] = []
        self._open: ArrayEntry | None = None
        out.write(_PREFIX.pack(MAGIC, FORMAT_VERSION, 0, kind.encode("ascii")))

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Append a whole array; a memory map is passed on piece by piece."""
        self.begin(name, array.dtype)
        self.append(np.ascontiguousarray(array).reshape(-1))
        self.end(array.shape)

    def begin(self, name: str, dtype: Any) -> None:
        """Begin an array that `append` fills and `end` closes; one at a time."""
        stored = np.dtype(dtype).newbyteorder("<")
        if stored.str not in DTYPES:
            raise TypeError(f"array {name!r}: {stored} is not one of the dtypes of the format")
        if self._open is not None:
            raise ValueError(f"array {name!r}: {self._open.name!r} is not ended yet")
        self._open = ArrayEntry(name, stored.str, (), self._out.position, 0, 0)

    def append(self, chunk: NDArray[Any] | bytes) -> None:
        """Append elements to the array begun; bytes to one of uint8."""
        assert self._open is not None, "no array was begun"
        if isinstance(chunk, bytes):
            chunk = np.frombuffer(chunk, np.uint8)
        data = np.ascontiguousarray(chunk, self._open.dtype).view(np.uint8).data
        self._out.write(data)
        self._open = self._open._replace(crc32=zlib.crc32(data, self._open.crc32))

    def end(self, shape: tuple[int, ...] | None = None) -> None:
        """End the array begun; `shape` defaults to (n,)."""
        assert self._open is not None, "no array was begun"
        entry, self._open = self._open, None
        nbytes, itemsize = self._out.position - entry.offset, np.dtype(entry.dtype).itemsize
        shape = (nbytes // itemsize,) if shape is None else tuple(map(int, shape))
        if nbytes != math.prod(shape) * itemsize:
            raise ValueError(f"array {entry.name!r}: {nbytes} bytes do not make the shape {shape}")
        self._out.write(bytes(-self._out.position % ALIGNMENT))
        self._entries.append(entry._replace(shape=shape, nbytes=nbytes))

    def finish(self, params: Mapping[str, Any]) -> bytes:
        """Write directory and footer; return the identity of the container, 16 bytes."""
        assert self._open is None, "an array was begun and not ended"
        body = {"arrays": [entry._asdict() for entry in self._entries], "params": dict(params)}
        directory = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        if len(directory) > MAX_DIRECTORY_BYTES:
            raise ValueError(f"a directory of {len(directory)} bytes is over the format's limit")
        offset = self._out.position
        self._out.write(directory)
        uuid = self._out.digest()[:16]
        length = offset + len(directory) + _FOOTER.size
        crc = zlib.crc32(directory)
        self._out.write(_FOOTER.pack(offset, len(directory), crc, 0, length, uuid, MAGIC))
        return uuid


class Container:
    """A container opened for reading: its directory is checked, its arrays are mapped.

    `params` holds the JSON values stored beside the arrays, `entries` the arrays in file order,
    `data` the whole file.
    """

    def __init__(self, files: Files, folder: Path, entry: FileEntry) -> None:
        self.entry = entry
        self.path = path = folder / entry.name
        try:
            self.data = files.map(path)
        except FileNotFoundError:
            raise CorruptIndexError(
                "the file is missing, though the manifest names it", path
            ) from None
        if len(self.data) != entry.length:
            raise CorruptIndexError(
                f"the file has {len(self.data)} bytes, the manifest says {entry.length}",
                path,
                min(len(self.data), entry.length),
            )
        self._check_prefix(entry.kind)
        directory_offset, directory = self._read_footer(entry.uuid)
        self.params, self.entries = _parse_directory(directory, directory_offset, path)

    def array(self, name: str) -> NDArray[Any]:
        """Return an array, read-only and mapped; its content is not checked."""
        entry = self.entries.get(name)
        if entry is None:
            raise CorruptIndexError(f"there is no array {name!r}", self.path)
        count = math.prod(entry.shape)
        flat = np.frombuffer(self.data, entry.dtype, count, entry.offset if count else 0)
        return flat.reshape(entry.shape)

    def typed(
        self, name: str, dtype: str, shape: tuple[int | None, ...], source: str = ""
    ) -> NDArray[Any]:
        """Return an array that must have this dtype and shape; a length of None is any.

        `source` names the arrays that the shape follows from, for the message.
        """
        array = self.array(name)
        fits = array.ndim == len(shape) and all(
            length in (None, found) for length, found in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype.str != dtype:
            expected = f"{np.dtype(dtype)} of shape {shape}"
            what = f"is {array.dtype} of shape {array.shape}, expected {expected}"
            raise self.corrupt(name, f"{what} by {source}" if source else what)
        return array

    def corrupt(self, name: str, what: str, at: int = 0) -> CorruptIndexError:
        """Return the error that says what is wrong with an array, at its byte `at`."""
        return CorruptIndexError(f"{name}: {what}", self.path, self.entries[name].offset + at)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the arrays whose names start with `prefix`, under the rest of their names."""
        return {
            name.removeprefix(prefix): self.array(name)
            for name in self.entries
            if name.startswith(prefix)
        }

    def check(self) -> None:
        """Compare every array with its checksum, and every gap with zero.

        Raises CorruptIndexError for the first array that differs, with its offset.
        """
        for entry in self.entries.values():
            end = entry.offset + entry.nbytes
            if zlib.crc32(self.data[entry.offset : end]) != entry.crc32:
                raise CorruptIndexError(
                    f"array {entry.name!r} does not match its checksum", self.path, entry.offset
                )
            if any(self.data[end : end + -end % ALIGNMENT]):
                raise CorruptIndexError("the padding after an array is not zero", self.path, end)

    def _check_prefix(self, kind: str) -> None:
        if len(self.data) < _PREFIX.size + _FOOTER.size:
            raise CorruptIndexError(
                f"the file has {len(self.data)} bytes, too few for a container", self.path, 0
            )
        prefix = bytes(self.data[: _PREFIX.size])
        magic, version, zero, stored_kind = _PREFIX.unpack(prefix)
        if magic != MAGIC:
            raise CorruptIndexError("the file does not start as a container does", self.path, 0)
        check_version(version, self.path)
        if zero or any(prefix[32:]):
            raise CorruptIndexError("reserved bytes are not zero", self.path, 12)
        if stored_kind.rstrip(b"\0") != kind.encode("ascii"):
            raise CorruptIndexError(f"expected a file of kind {kind!r}", self.path, 16)

    def _read_footer(self, expected_uuid: str) -> tuple[int, bytes]:
        at = len(self.data) - _FOOTER.size
        footer = bytes(self.data[at:])
        offset, nbytes, crc, zero, length, uuid, magic = _FOOTER.unpack(footer)
        if magic != MAGIC or length != len(self.data) or zero or any(footer[48:56]):
            raise CorruptIndexError(
                "the file does not end as a container does: it was cut short or overwritten",
                self.path,
                at,
            )
        if nbytes > MAX_DIRECTORY_BYTES or offset + nbytes != at or offset % ALIGNMENT:
            raise CorruptIndexError("the footer points outside of the file", self.path, at)
        directory = bytes(self.data[offset:at])
        if zlib.crc32(directory) != crc:
            raise CorruptIndexError("the directory does not match its checksum", self.path, offset)
        if uuid.hex() != expected_uuid:
            raise CorruptIndexError("this is another file than the manifest names", self.path, at)
        return offset, directory


def check_version(version: int, path: Path, newest: int = FORMAT_VERSION) -> None:
    """Raise FormatVersionError unless this build reads format `version`."""
    if version > newest:
        raise FormatVersionError(
            f"{path}: format {version} is newer than this version reads ({newest}); "
            "upgrade the package"
        )
    if version < OLDEST_SUPPORTED:
        raise FormatVersionError(
            f"{path}: format {version} is older than this version reads ({OLDEST_SUPPORTED}); "
            "build the index again from its documents"
        )


def _parse_directory(
    directory: bytes, end: int, path: Path
) -> tuple[dict[str, Any], dict[str, ArrayEntry]]:
    try:
        body = json.loads(directory)
        params, raw = dict(body["params"]), list(body["arrays"])
        entries = [_entry(fields) for fields in raw]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptIndexError(f"the directory is malformed: {error}", path, end) from None
    expected = _PREFIX.size
    for entry in entries:
        size = math.prod(entry.shape) * np.dtype(entry.dtype).itemsize
        if entry.offset != expected or entry.nbytes != size or expected + size > end:
            raise CorruptIndexError(
                f"array {entry.name!r} is not where and as large as it must be", path, entry.offset
            )
        expected += size + -size % ALIGNMENT
    by_name = {entry.name: entry for entry in entries}
    if expected != end or len(by_name) != len(entries):
        raise CorruptIndexError("the arrays do not fill the file exactly once", path, expected)
    return params, by_name


def _entry(fields: Any) -> ArrayEntry:
    if set(fields) != set(ArrayEntry._fields):
        raise ValueError("an array entry has other fields than it must have")
    name, dtype, shape = fields["name"], fields["dtype"], fields["shape"]
    numbers = [*shape, fields["offset"], fields["nbytes"], fields["crc32"]]
    if not isinstance(name, str) or dtype not in DTYPES or len(shape) > MAX_DIMENSIONS:
        raise ValueError("an array entry has a name, dtype or shape outside of the format")
    if any(type(number) is not int or not 0 <= number < 2**63 for number in numbers):
        raise ValueError("an array entry has a number outside of the format")
    return ArrayEntry(**{**fields, "shape": tuple(shape)})
