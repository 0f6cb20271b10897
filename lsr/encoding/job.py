"""`encode_corpus`: the resumable job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Corpus
from lsr.encoders.base import CollectionStatistics, Encoder
from lsr.encoders.dense.base import DenseEncoder
from lsr.encoding import shards
from lsr.encoding.plan import (
    JOB_FILES,
    document_batches,
    drop_job,
    is_job,
    load_progress,
    make_plan,
    require_plan,
    save_progress,
)
from lsr.encoding.shards import EncodedCollection
from lsr.errors import CorpusError, UsageError
from lsr.files import locked
from lsr.progress import Progress
from lsr.records import Document, DocumentBatch


def encode_corpus(
    corpus: Corpus,
    encoder: Encoder,
    folder: Path | str,
    *,
    dense: DenseEncoder | None = None,
    shard_docs: int = 4096,
    restart: bool = False,
    progress: Progress | None = None,
) -> EncodedCollection:
    """Encode a corpus into a folder, or continue doing so.

    An interrupted call (an exception, Ctrl-C, kill -9, a power cut) loses the shard it was working
    on. The same call again continues there; the result is the same, byte for byte. A finished job
    is opened without reading the corpus.

    The corpus is read once, as a stream. An encoder whose vocabulary grows must be in the state
    that it had at the first call, or new; `dense` makes dense vectors of the same documents. The
    folder is made when it is not there; nothing else should be in it. A shard, the unit of
    resuming, has `shard_docs` documents. A job of another corpus, encoder or shard size is dropped
    with `restart`, or if it has completed no shard. ``progress("encode", done, total)`` is called
    at least once per batch.

    Raises UsageError for another job in the folder, without `restart`; CorpusError for a corpus
    that is malformed or changes while it is read; StorageFullError; IndexLockedError while another
    process works in this folder.
    """
    if shard_docs < 1:
        raise UsageError(f"shard_docs {shard_docs}: expected at least 1")
    job = _Job(corpus, encoder, dense, Path(folder), shard_docs, restart, progress)
    with locked(job.folder, "encoding into", JOB_FILES):
        return job.run()


@dataclass
class _Job:
    corpus: Corpus
    encoder: Encoder
    dense: DenseEncoder | None
    folder: Path
    shard_docs: int
    restart: bool
    progress: Progress | None

    def __post_init__(self) -> None:
        self.plan = make_plan(self.corpus, self.encoder, self.shard_docs, self.dense)
        self.n_shards = 0
        self.statistics = CollectionStatistics()
        self.state: bytes | None = None

    def run(self) -> EncodedCollection:
        complete = self._resume() if self._is_reusable() else self._start()
        if not complete:
            self._encode()
        return EncodedCollection(
            self.folder, self.n_shards, self.statistics, self.encoder, self.dense
        )

    def _is_reusable(self) -> bool:
        """Return whether there is a job that goes on; drop one that never can.

        Raises UsageError for a job with shards, of another plan, that may not be dropped.
        """
        if not is_job(self.folder):
            return False
        n_shards, _, plan = load_progress(self.folder)
        if plan == self.plan:
            return True
        if n_shards and not self.restart:
            require_plan(self.folder, plan, self.plan)
        drop_job(self.folder)
        return False

    def _start(self) -> bool:
        self.state = self.encoder.state()
        shards.write_record(
            shards.start_path(self.folder),
            shards.ShardRecord(CollectionStatistics(), 0, self.state or b""),
        )
        save_progress(self.folder, self.plan, 0, complete=False)
        return False

    def _resume(self) -> bool:
        """Load counts and encoder state; return whether the job is complete."""
        self.n_shards, complete, _ = load_progress(self.folder)
        state = bytearray(shards.read_record(shards.start_path(self.folder)).state_added)
        for number in range(self.n_shards):
            path = shards.record_path(self.folder, number)
            record = shards.read_record(path, shards.vectors_path(self.folder, number))
            self.statistics += record.statistics
            if self.dense is not None:
                n_docs = record.statistics.n_docs
                shards.read_dense(self.folder, number, n_docs, self.dense.dimension)
            del state[record.state_kept :]
            state += record.state_added
        if self.encoder.state() is not None:
            self.state = bytes(state)
            self.encoder.load_state(self.state)
        return complete

    def _encode(self) -> None:
        total = self.corpus.count_hint()
        self._report(0, total)
        documents = iter(self.corpus)
        skipped = sum(1 for _ in islice(documents, self.statistics.n_docs))
        while skipped == self.statistics.n_docs:
            first = next(documents, None)
            if first is None:
                break
            self._encode_shard(chain([first], islice(documents, self.shard_docs - 1)), total)
            skipped = self.statistics.n_docs
        if self.corpus.fingerprint() != self.plan["corpus"]["fingerprint"] or (
            skipped < self.statistics.n_docs
        ):
            raise CorpusError(
                "changed while it was being encoded; start over with --overwrite, or by removing "
                f"{self.folder}",
                self.corpus.name,
            )
        save_progress(self.folder, self.plan, self.n_shards, complete=True)

    def _encode_shard(self, documents: Iterable[Document], total: int | None) -> None:
        counted = CollectionStatistics()
        dense: list[NDArray[np.float32]] = []

        def encoded() -> Iterator[DocumentBatch]:
            nonlocal counted
            for batch in document_batches(documents):
                texts = [d.contents for d in batch]
                vectors, statistics = self.encoder.encode_documents(texts)
                if self.dense is not None:
                    dense.append(self.dense.encode_documents(texts))
                counted += statistics
                yield DocumentBatch.of(batch, vectors)
                self._report(counted.n_docs, total)

        vectors = shards.vectors_path(self.folder, self.n_shards)
        shards.write_vectors(vectors, encoded())
        if self.dense is not None:
            shards.write_dense(shards.dense_path(self.folder, self.n_shards), np.concatenate(dense))
        record = shards.ShardRecord(counted, *self._state_change(), n_bytes=vectors.stat().st_size)
        shards.write_record(shards.record_path(self.folder, self.n_shards), record)
        save_progress(self.folder, self.plan, self.n_shards + 1, complete=False)
        self.n_shards += 1
        self.statistics += counted

    def _state_change(self) -> tuple[int, bytes]:
        """Return how much of the encoder's last state still stands, and what follows it."""
        before, self.state = self.state or b"", self.encoder.state()
        after = self.state or b""
        kept = len(before) if after.startswith(before) else 0
        return kept, after[kept:]

    def _report(self, in_shard: int, total: int | None) -> None:
        if self.progress is not None:
            self.progress("encode", self.statistics.n_docs + in_shard, total)
