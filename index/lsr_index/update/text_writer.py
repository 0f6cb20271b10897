"""`IndexUpdater`: documents as text into an existing index.

The encoder comes from the index, so that new vectors are comparable with the stored ones. Where the
weights of queries depend on counts of the collection, a commit stores the counts, and a larger
vocabulary, together with the vectors: queries use them with the same generation.

Counts only grow. The share of a replaced or deleted document in the document frequencies and
lengths stays, and documents of earlier commits keep the weights of the average length at their
time; `lsr_index.build.reencode.reindex` counts and weighs everything anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lsr.encoders import restore_document_encoder, statistics_of
from lsr.encoders.base import CollectionStatistics, Encoder, QueryEncoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.precomputed import KIND as PRECOMPUTED
from lsr.encoding.plan import BATCH_DOCS, document_batches
from lsr.errors import DocumentError, EncoderMismatchError, UsageError
from lsr.progress import Progress
from lsr.records import Document, DocumentBatch
from lsr.sparse import SparseBatch
from lsr_index.hybrid import Retriever
from lsr_index.segment.geometry import DEFAULT_MEMORY_BYTES
from lsr_index.storage.directory import DISK, Files
from lsr_index.update.writer import Commit, WriterBase


class IndexUpdater(WriterBase):
    """The one writer of an index, for text. A context manager: leaving it releases the lock.

    Leaving without `commit` discards changes since the last one. The encoder is restored when the
    first document is added. For one thread; `merge` and `compact` may run in another.

    Parameters
    ----------
    max_terms : int, optional
        Largest number of terms of a document's vector.
    path, memory_bytes, background, files
        As in `lsr_index.update.writer.WriterBase`, errors too.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        max_terms: int | None = None,
        memory_bytes: int = DEFAULT_MEMORY_BYTES // 4,
        background: bool = False,
        files: Files = DISK,
    ) -> None:
        super().__init__(path, memory_bytes=memory_bytes, background=background, files=files)
        self._max_terms = max_terms
        self._encoder: Encoder | None = None
        self._dense: DenseEncoder | None = None
        self._query_encoder: QueryEncoder | None = None
        self._counted: CollectionStatistics | None = None
        self._committed: CollectionStatistics | None = None
        self._committed_state: bytes | None = None

    def load_encoder(self) -> Encoder:
        """Restore the document encoder of the index, once; return it.

        Raises UsageError for an index of vectors, which has none, EncoderMismatchError where the
        model has changed since, ModelError, MissingDependencyError, IndexFormatError.
        """
        if self._encoder is not None:
            return self._encoder
        with self.snapshot() as index:
            assets, fingerprint = index.encoder_assets, index.fingerprint
            dense = index.dense.restore_encoder() if index.dense and assets else None
        if assets is None:
            raise UsageError(
                f"{self.path}: the index was made of vectors and stores no encoder for text; add "
                "vectors with lsr.open(…).writer() from Python"
            )
        encoder = restore_document_encoder(assets)
        if fingerprint is not None and encoder.fingerprint.digest != fingerprint.digest:
            raise EncoderMismatchError(
                f"{self.path}: the stored encoder restores to another one than made the vectors; "
                "run lsr verify, or encode the documents again with lsr reindex"
            )
        self._counted = self._committed = statistics_of(assets)
        self._encoder, self._dense = encoder, dense
        self._committed_state = encoder.state()
        self._query_encoder = encoder.with_statistics(self._counted or CollectionStatistics())
        return encoder

    def add(self, documents: Iterable[Document], progress: Progress | None = None) -> int:
        """Encode documents and add them, in batches; return how many were read.

        A document replaces the one with its id; of several with the same id the last one stays.
        ``progress("encode", done, None)`` is called after each batch. DataError: a document cannot
        be stored; the batches before it are still pending, and `rollback` discards them.
        """
        n_done = 0
        for batch in document_batches(documents):
            n_done += self.add_batch(batch)
            if progress is not None:
                progress("encode", n_done, None)
        return n_done

    def add_batch(self, documents: Sequence[Document]) -> int:
        """Add a bounded number of documents, all or none of them; see `add`."""
        encoder = self.load_encoder()
        before = encoder.state()
        try:
            return self._add_batch(encoder, documents)
        except BaseException:
            if before is not None:
                encoder.load_state(before)
            raise

    def _add_batch(self, encoder: Encoder, documents: Sequence[Document]) -> int:
        latest = list({document.id: document for document in documents}.values())
        for position, document in enumerate(latest):
            _require_unicode(document, position)
        parts = list[SparseBatch]()
        dense = (
            [np.zeros((0, self._dense.dimension), np.float32)] if self._dense is not None else []
        )
        counted = self._counted or CollectionStatistics()
        for start in range(0, len(latest), BATCH_DOCS):
            texts = [document.contents for document in latest[start : start + BATCH_DOCS]]
            encoded = encoder.encode_documents(texts)
            parts.append(encoded.vectors)
            counted += encoded.statistics
            if self._dense is not None:
                dense.append(self._dense.encode_documents(texts))
        vectors = encoder.finish_documents(SparseBatch.concatenate(parts), counted)
        self._refuse_long(latest, vectors)
        batch = DocumentBatch.of(
            latest, vectors, None if self._dense is None else np.concatenate(dense)
        )
        self._add(batch, encoder.n_terms)
        if self._counted is not None:
            self._counted = counted
        return len(documents)

    def add_vectors(self, batch: DocumentBatch) -> None:
        """Add documents with their vectors, to an index that was made of vectors.

        Raises DataError as `IndexWriter.add` does, also for a term outside of the index's
        vocabulary.
        """
        with self.snapshot() as index:
            stored = index.encoder_assets
        named = stored is not None and (
            stored.config.get("kind") != PRECOMPUTED or "vocabulary_text" in stored.arrays
        )
        n_terms = int(batch.vectors.indices.max(initial=0)) + 1
        self._add(batch, None if named else n_terms)

    def commit(self) -> Commit:
        """Make all changes since the last commit visible and durable, or none of them.

        Raises as `IndexWriter.commit` does.
        """
        grown = None
        if self._encoder is not None and self._counted is not self._committed:
            grown = self._encoder.with_statistics(self._counted or CollectionStatistics())
        done = self._commit_pending(None if grown is None else grown.assets())
        if grown is not None:
            self._committed, self._query_encoder = self._counted, grown
        if self._encoder is not None:
            self._committed_state = self._encoder.state()
        return done

    def rollback(self) -> None:
        """Discard all changes since the last commit, new terms included."""
        super().rollback()
        self._counted = self._committed
        if self._encoder is not None and self._committed_state is not None:
            self._encoder.load_state(self._committed_state)

    def retriever(self, encoder: QueryEncoder | None = None) -> Retriever:
        """Return a retriever of the last committed state.

        `encoder` encodes queries as long as this updater has not restored the index's own.
        """
        return Retriever.of(self.snapshot(), self._query_encoder or encoder)

    def _refuse_long(self, documents: Sequence[Document], vectors: SparseBatch) -> None:
        n_terms, limit = np.diff(vectors.indptr), self._max_terms
        if limit is None:
            return
        for i in np.flatnonzero(n_terms > limit).tolist():
            raise DocumentError(
                f"{n_terms[i]:,} terms; at most {limit:,} are accepted, split it into passages",
                documents[i].id,
                i,
            )


def _require_unicode(document: Document, position: int) -> None:
    try:
        document.contents.encode()
    except UnicodeEncodeError as error:
        raise DocumentError(
            f"the text is no valid Unicode ({error.reason} at character {error.start}); replace or "
            "remove the character",
            document.id,
            position,
        ) from None
