"""The manifest: the files of one generation of an index.

An index is a folder of immutable files and a series of manifests, ``MANIFEST-`` and 16 digits. A
manifest is text: a head line with the format version, one line of JSON, a last line with a CRC over
both. It is never overwritten.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lsr.encoders.base import Fingerprint
from lsr.errors import CorruptIndexError, IndexNotFoundError
from lsr_index.storage.container import FORMAT_VERSION, FileEntry, check_version, whole_number
from lsr_index.storage.dense_part import DensePart, fingerprint_from_json
from lsr_index.storage.directory import Files

MAX_MANIFEST_BYTES = 16 << 20
MAX_SEGMENTS = 4096
MAX_DOCS = 2**31 - 1
DENSE_VERSION = FORMAT_VERSION + 1
"""Version of a manifest that names dense vectors: to ignore them would be to lose them."""

_NAME = re.compile(r"MANIFEST-(\d{16})")
_HEAD = re.compile(rb"lsr-manifest (\d{1,9})\n")


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One segment of a generation.

    `n_docs` counts the documents in the file, deleted ones included; `deletes` is the bitmap of
    deleted documents, when there are any.
    """

    file: FileEntry
    n_docs: int
    deletes: FileEntry | None = None
    n_deleted: int = 0

    @property
    def n_live(self) -> int:
        """Documents that a search can return."""
        return self.n_docs - self.n_deleted


@dataclass(frozen=True, slots=True)
class Loss:
    """Postings changed by quantising.

    `n_clipped`: larger weights stored as the largest impact; `n_dropped`: weights below half a
    step, not stored.
    """

    n_clipped: int = 0
    n_dropped: int = 0

    def __add__(self, other: Loss) -> Loss:
        return Loss(self.n_clipped + other.n_clipped, self.n_dropped + other.n_dropped)


NO_LOSS = Loss()


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation of an index.

    Attributes
    ----------
    generation, parent : int
        Its number, from 1; the generation it was made from, 0 for the first.
    n_terms : int
        Every term id of every segment is smaller.
    scale : float
        Weight of one impact step, the same in all segments.
    segments : tuple of SegmentEntry
        In the order of their documents' ordinals.
    encoder, fingerprint
        The stored encoder; identity of the encoder that made the vectors.
    settings : mapping
        Options of the build that later merges keep: JSON values.
    dense : DensePart or None
        The dense vectors that every segment has beside its postings.
    loss : Loss
        Postings changed by quantising since the index was built.
    """

    generation: int
    n_terms: int
    scale: float
    segments: tuple[SegmentEntry, ...] = ()
    encoder: FileEntry | None = None
    fingerprint: Fingerprint | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    parent: int = 0
    dense: DensePart | None = None
    loss: Loss = NO_LOSS

    @property
    def name(self) -> str:
        """The file's name in the folder of the index."""
        return manifest_name(self.generation)

    @property
    def n_docs(self) -> int:
        """Documents that a search can return."""
        return sum(segment.n_live for segment in self.segments)

    def files(self) -> set[str]:
        """Return the names of all files that this generation needs, the manifest included."""
        return {self.name, *(entry.name for entry in self.entries())}

    def entries(self) -> list[FileEntry]:
        """Return the containers that this generation needs."""
        found = [segment.file for segment in self.segments]
        found += [segment.deletes for segment in self.segments if segment.deletes]
        found += [self.encoder] if self.encoder else []
        return [*found, self.dense.encoder] if self.dense and self.dense.encoder else found

    def to_bytes(self) -> bytes:
        """Return the content of the file. Equal manifests give equal bytes."""
        body = asdict(self)
        if self.dense is None:
            del body["dense"]
        if self.loss == NO_LOSS:
            del body["loss"]
        version = FORMAT_VERSION if self.dense is None else DENSE_VERSION
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
        head = b"lsr-manifest %d\n%s\n" % (version, text.encode("ascii"))
        return head + b"crc32 %08x\n" % zlib.crc32(head)


def manifest_name(generation: int) -> str:
    """Return the name of the manifest of a generation."""
    return f"MANIFEST-{generation:016d}"


def generation_of(name: str) -> int | None:
    """Return the generation in a manifest's file name, or None for any other name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def generations(files: Files, folder: Path) -> list[int]:
    """Return the generations in a folder, ascending.

    Raises IndexNotFoundError where no index is, CorruptIndexError where all its manifests are
    missing.
    """
    try:
        names = files.names(folder)
    except FileNotFoundError:
        raise IndexNotFoundError(f"{folder}: no index is here; `lsr index` makes one") from None
    except NotADirectoryError:
        raise IndexNotFoundError(f"{folder}: this is a file; an index is a folder") from None
    found = [generation for name in names if (generation := generation_of(name)) is not None]
    if not found and "write.lock" in names:
        raise CorruptIndexError("all manifests of this index are missing", folder)
    if not found:
        raise IndexNotFoundError(
            f"{folder}: this folder is no index: it holds no file named MANIFEST-…"
        )
    return sorted(found)


def read_manifest(files: Files, folder: Path, generation: int) -> Manifest:
    """Read and check the manifest of one generation.

    Raises FileNotFoundError for a generation that a writer has replaced, CorruptIndexError,
    FormatVersionError.
    """
    path = folder / manifest_name(generation)
    data = bytes(files.map(path)[: MAX_MANIFEST_BYTES + 1])
    if len(data) > MAX_MANIFEST_BYTES:
        raise CorruptIndexError(f"a manifest has at most {MAX_MANIFEST_BYTES} bytes", path)
    head = _HEAD.match(data)
    if head is None:
        raise CorruptIndexError("the file does not start as a manifest does", path, 0)
    version = int(head[1])
    check_version(version, path, newest=DENSE_VERSION)
    body_end = data.rfind(b"\n", 0, len(data) - 1) + 1
    if data[body_end:] != b"crc32 %08x\n" % zlib.crc32(data[:body_end]):
        raise CorruptIndexError("the manifest does not match its checksum", path, body_end)
    try:
        manifest = _manifest_from_json(json.loads(data[head.end() : body_end]), version)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptIndexError(f"the manifest is malformed: {error}", path, head.end()) from None
    if manifest.generation != generation:
        raise CorruptIndexError(f"the manifest says generation {manifest.generation}", path)
    return manifest


def _manifest_from_json(body: Any, version: int) -> Manifest:
    scale = body["scale"]
    if type(scale) is not float or not (math.isfinite(scale) and scale > 0):
        raise ValueError("the scale is not a positive number")
    if len(body["segments"]) > MAX_SEGMENTS:
        raise ValueError(f"more than {MAX_SEGMENTS} segments")
    if ("dense" in body) != (version == DENSE_VERSION):
        raise ValueError(f"version {version} does not go with what the manifest names")
    manifest = Manifest(
        generation=whole_number(body, "generation", 10**16 - 1),
        n_terms=whole_number(body, "n_terms", 2**32),
        scale=scale,
        segments=tuple(_segment_from_json(segment) for segment in body["segments"]),
        encoder=FileEntry.from_json(body["encoder"], "encoder"),
        fingerprint=fingerprint_from_json(body["fingerprint"]),
        settings=dict(body["settings"]),
        parent=whole_number(body, "parent", 10**16 - 1),
        dense=DensePart.from_json(body["dense"]) if "dense" in body else None,
        loss=Loss(*(whole_number(body["loss"], key, 2**63) for key in ("n_clipped", "n_dropped")))
        if "loss" in body
        else NO_LOSS,
    )
    names = [segment.file.name for segment in manifest.segments]
    if len(set(names)) != len(names):
        raise ValueError("a segment appears twice")
    if sum(segment.n_docs for segment in manifest.segments) > MAX_DOCS:
        raise ValueError(f"more than {MAX_DOCS} documents")
    return manifest


def _segment_from_json(body: Any) -> SegmentEntry:
    file = FileEntry.from_json(body["file"], "segment")
    deletes = FileEntry.from_json(body["deletes"], "deletes")
    n_docs = whole_number(body, "n_docs", MAX_DOCS)
    n_deleted = whole_number(body, "n_deleted", n_docs)
    if file is None:
        raise ValueError("a segment has no file")
    if (deletes is None) != (n_deleted == 0):
        raise ValueError("the number of deleted documents does not fit the bitmap")
    return SegmentEntry(file, n_docs, deletes, n_deleted)
