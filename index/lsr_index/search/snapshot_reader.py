"""`Generation`: the mapped files of one generation of an index, and its documents.

The maps keep the files readable after a writer removes their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.errors import IndexStateError, UsageError
from lsr.records import Document
from lsr_index.search.filters import merged_fields
from lsr_index.search.hits import IndexStats, count_index
from lsr_index.segment.encoder_store import read_assets
from lsr_index.segment.reader import SegmentReader
from lsr_index.storage.container import Container
from lsr_index.storage.directory import DISK, Files
from lsr_index.storage.manifest import Manifest


class Generation:
    """The content of one generation of an index. Safe to use from several threads.

    An ordinal is a document's number through all segments, valid in this generation only; `doc_id`
    is the user's permanent id.
    """

    def __init__(self, path: Path, manifest: Manifest, files: Files = DISK) -> None:
        self.path = path
        self.manifest = manifest
        self._files = files
        self._segments: list[SegmentReader] | None = [
            SegmentReader(files, path, entry, manifest.scale, manifest.dense)
            for entry in manifest.segments
        ]
        self._bases = np.cumsum([0, *(entry.n_docs for entry in manifest.segments)])
        # Opened now, read on first use: by then a writer may have removed the file's name.
        self._encoder = Container(files, path, manifest.encoder) if manifest.encoder else None
        stored = manifest.dense.encoder if manifest.dense else None
        self._dense_encoder = Container(files, path, stored) if stored else None

    @property
    def segments(self) -> list[SegmentReader]:
        """The segments in the order of ordinals."""
        if self._segments is None:
            raise IndexStateError(f"{self.path}: the index is closed; open it again")
        return self._segments

    @property
    def n_docs(self) -> int:
        """Number of documents without deleted ones."""
        return self.manifest.n_docs

    @property
    def n_terms(self) -> int:
        """Size of the vocabulary: every term id is smaller."""
        return self.manifest.n_terms

    @property
    def generation(self) -> int:
        """State of the index; each commit adds one."""
        return self.manifest.generation

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Fingerprint of the encoder that made the vectors."""
        return self.manifest.fingerprint

    @cached_property
    def encoder_assets(self) -> EncoderAssets | None:
        """The stored encoder, read and checked on first use."""
        return None if self._encoder is None else read_assets(self._encoder)

    def stats(self) -> IndexStats:
        """Return counts of this generation."""
        return count_index(self.manifest, self.segments)

    def fields(self) -> dict[str, set[str]]:
        """Return the metadata fields that filters can name, and the types of their values."""
        return merged_fields(segment.columns for segment in self.segments)

    def find(self, doc_id: str) -> int | None:
        """Return the ordinal of an id, or None for an unknown or deleted one."""
        for base, segment in zip(self._bases, self.segments, strict=False):
            position = segment.find(doc_id)
            if position is not None:
                return int(base) + position
        return None

    def document(self, doc_id: str) -> Document | None:
        """Return a document by its id, or None for an unknown or deleted one."""
        ordinal = self.find(doc_id)
        return None if ordinal is None else self.documents([ordinal])[0]

    def doc_ids(self, ordinals: Iterable[int] | NDArray[np.int64]) -> list[str]:
        """Return the ids of documents by their ordinals."""
        return [
            segment.doc_ids.doc_id(position) for segment, position in map(self._place, ordinals)
        ]

    def documents(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[Document]:
        """Return documents by their ordinals, in the given order."""
        placed = [self._place(int(ordinal)) for ordinal in ordinals]
        found: list[Document | None] = [None] * len(placed)
        for segment in {id(segment): segment for segment, _ in placed}.values():
            rows = [i for i, (owner, _) in enumerate(placed) if owner is segment]
            positions = [placed[i][1] for i in rows]
            for i, position, record in zip(
                rows, positions, segment.documents.records(positions), strict=True
            ):
                doc_id = segment.doc_ids.doc_id(position)
                found[i] = Document(doc_id, record.text, record.title, record.metadata)
        return [document for document in found if document is not None]

    def vector(self, ordinal: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Return term ids and impacts of a document, (nnz,) each; impact times `scale`: weight."""
        segment, position = self._place(ordinal)
        return segment.vectors.vector(position)

    def containers(self) -> list[Container]:
        """Return all open files of this generation but the manifest."""
        found = [c for segment in self.segments for c in (segment.container, segment.deletes) if c]
        found += [self._encoder] if self._encoder else []
        return [*found, self._dense_encoder] if self._dense_encoder else found

    def check_checksums(self) -> None:
        """Read every byte of every file. Raises CorruptIndexError."""
        for container in self.containers():
            container.check()

    def check_structure(self) -> None:
        """Check every number that a kernel uses as a position. Raises CorruptIndexError."""
        for segment in self.segments:
            segment.check_structure()

    def close(self) -> None:
        """Release the files."""
        self._segments = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _place(self, ordinal: int) -> tuple[SegmentReader, int]:
        if not 0 <= ordinal < self._bases[-1]:
            raise UsageError(f"there is no document number {ordinal} in this generation")
        number = int(np.searchsorted(self._bases, ordinal, side="right")) - 1
        return self.segments[number], int(ordinal - self._bases[number])
