"""Lines of text files, of gzip files (recognised by their first bytes) and of standard input.

Lines end with LF or CRLF; the ending of the last is optional, any other carriage return is text.
A UTF-8 byte order mark is dropped; UTF-16 and UTF-32 are errors. A NUL byte, invalid UTF-8 and a
line above the maximum length are errors of that line only; a long line is never held in memory.
Blanks are space, tab, vertical tab, form feed and carriage return; U+00A0 or U+2028 are text.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from lsr.errors import CorpusError

STANDARD_INPUT = Path("-")
MAX_LINE_BYTES = 8 * 2**20
_MARK_AND_ENDING = 5
_SAMPLE_BYTES = 2**20
_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class Line(NamedTuple):
    """Bytes of a line without its ending, or the error message for it."""

    number: int
    data: bytes
    problem: str | None = None

    def text(self) -> str:
        """Return the decoded line; raise CorpusError, without a place, if it is malformed."""
        if self.problem is not None:
            raise CorpusError(self.problem)
        return decode(self.data)


def read_lines(
    path: Path, max_bytes: int = MAX_LINE_BYTES, *, blank: bool = False
) -> Iterator[Line]:
    """Yield the lines of a file, without blank ones unless `blank`; numbers count all, from 1.

    `max_bytes` is the maximum length of a line without its ending. Raises CorpusError for a file
    that is missing, not permitted, in UTF-16 or UTF-32, or damaged gzip.
    """
    number = 0
    try:
        with open_binary(path) as file:
            while data := file.readline(max_bytes + _MARK_AND_ENDING):
                number += 1
                if number == 1:
                    data = _without_mark(data, path)
                line = data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")
                if len(line) > max_bytes:
                    while data and not data.endswith(b"\n"):
                        data = file.readline(2**20)
                    yield Line(number, b"", f"longer than {max_bytes:,} bytes, the most a line may")
                elif b"\0" in line:
                    yield Line(number, b"", "holds a NUL byte: the file is binary or damaged")
                elif blank or (line and not line.isspace()):
                    yield Line(number, line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(
            f"compressed data is damaged or cut off after line {number} ({error}); "
            "fetch or make the file again",
            path,
        ) from error
    except OSError as error:
        raise unreadable(error, path) from error


def read_text_lines(path: Path, *, blank: bool = False) -> Iterator[tuple[int, str]]:
    """Yield numbers and texts of lines, as `read_lines`; raise CorpusError for a malformed one."""
    for line in read_lines(path, blank=blank):
        try:
            yield line.number, line.text()
        except CorpusError as error:
            raise CorpusError(str(error), path, line.number) from None


def split_blanks(text: str) -> list[str]:
    """Split text at blanks, as trec_eval does; `str.split` splits at more characters."""
    data = text.encode("utf-8", "surrogatepass")
    return [part.decode("utf-8", "surrogatepass") for part in data.split()]


def decode(data: bytes) -> str:
    """Decode strict UTF-8; raise CorpusError, without a place, for invalid bytes."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"not valid UTF-8 (byte 0x{data[error.start]:02x} at byte {error.start + 1}); "
            "convert the file to UTF-8"
        ) from None


def unreadable(error: OSError, path: Path | None = None) -> CorpusError:
    """Return the error for a file that the system cannot read."""
    return CorpusError(f"cannot be read ({error.strerror or error})", path)


def estimate_lines(path: Path) -> int | None:
    """Estimate the number of non-blank lines from the first MiB; exact for smaller files."""
    try:
        with path.open("rb", buffering=0) as raw, _unpacked(cast(BinaryIO, raw)) as file:
            sample = file.read(_SAMPLE_BYTES)
            whole = not file.read(1)
            read = raw.tell() if file is not raw else len(sample)
        size = path.stat().st_size
    except (OSError, EOFError, zlib.error):
        return None
    n_lines = sum(1 for line in sample.split(b"\n") if line.strip())
    return n_lines if whole else max(1, round(n_lines * size / max(read, 1)))


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file or standard input (``-``) for reading bytes; decompress gzip."""
    opened = nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else path.open("rb")
    with opened as raw, _unpacked(raw) as file:
        yield file


@contextmanager
def _unpacked(raw: BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(raw, io.BufferedReader):  # a pipe can be looked into, not rewound
        magic = raw.peek(2)[:2]
    else:
        magic = raw.read(2)
        raw.seek(0, os.SEEK_SET)
    if magic == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=raw, mode="rb") as file:
            yield cast(BinaryIO, file)
    else:
        yield raw


def _without_mark(data: bytes, path: Path) -> bytes:
    for mark, name in _OTHER_ENCODINGS:
        if data.startswith(mark):
            raise CorpusError(
                f"encoded in {name}; expected UTF-8, convert it: iconv -f {name} -t UTF-8", path
            )
    return data.removeprefix(codecs.BOM_UTF8)
