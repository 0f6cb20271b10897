"""`Writer`: changes of an index in a ``with`` statement, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from lsr.errors import IndexStateError, UsageError
from lsr_index.api.sources import documents_of, is_vectors, vectors_of
from lsr_index.update.text_writer import IndexUpdater


class Writer:
    """Adds and deletes documents of an index. Leaving the ``with`` statement commits.

    An exception in it rolls back all uncommitted changes. A writer holds the lock of the index:
    there is one at a time, while searches continue. `committed` is called after each commit.

    Examples
    --------
    >>> with index.writer() as w:
    ...     w.add([{"id": "3", "text": "black tea", "year": 1999}])
    ...     w.delete(filter={"year": {"$lt": 2000}})
    1
    1
    """

    def __init__(self, path: Path, committed: Callable[[], object]) -> None:
        self._path = path
        self._committed = committed
        self._updater: IndexUpdater | None = None
        self._closed = False

    def add(self, documents: Any, *, ids: Iterable[str] | None = None, dense: Any = None) -> int:
        """Add documents, which replace those with the same id; return how many were read.

        Parameters
        ----------
        documents : Document, mapping, iterable of these, data frame, SciPy matrix or SparseBatch
            As in `lsr.create`, or a single document. Vectors only for an index of vectors.
        ids : iterable of str, (n,), optional
            Required for vectors.
        dense : (n, dimension) array, optional
            Dense vectors beside sparse ones.

        Raises
        ------
        UsageError
            `documents` have another form, or the index has no encoder for texts.
        DataError
            A malformed document. Documents before it in this call are rolled back with the rest
            when the exception leaves the ``with`` statement.
        IndexStateError
            The writer is closed.
        """
        updater = self._active()
        if isinstance(documents, str | Path):
            raise UsageError(
                f"add takes documents, not a path ({str(documents)!r}); `lsr add` adds files, "
                "lsr.corpus.open_corpus reads their documents"
            )
        if not is_vectors(documents):
            if ids is not None or dense is not None:
                raise UsageError("ids= and dense= belong to vectors; documents bring their ids")
            return updater.add(documents_of(documents))
        if ids is None:
            raise UsageError("vectors that are added to an index need ids=")
        vectors = vectors_of(documents, ids, dense)
        for batch in vectors.batches():
            updater.add_vectors(batch)
        return len(vectors.ids)

    def delete(
        self, ids: Iterable[str] | None = None, *, filter: Mapping[str, Any] | None = None
    ) -> int:
        """Delete documents by id, or those that match a filter; return how many there were.

        Parameters
        ----------
        ids : iterable of str, optional
            Unknown ids are ignored.
        filter : mapping, optional
            As in `SearchIndex.search`; not empty.

        Raises
        ------
        UsageError
            Neither or both are given, `ids` is a single string, or the filter is malformed.
        IndexStateError
            The writer is closed.
        """
        updater = self._active()
        if (ids is None) == (filter is None):
            raise UsageError("delete takes either ids or filter=")
        if filter is not None:
            if not filter:
                raise UsageError("an empty filter passes every document; nothing was deleted")
            return updater.delete_where(filter)
        if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
            raise UsageError(f"ids must be a list of strings, got {ids!r}; write [{ids!r}]")
        listed = list(ids)
        for doc_id in listed:
            if not isinstance(doc_id, str):
                raise UsageError(f"ids are strings, got {doc_id!r}")
        return updater.delete(listed)

    def commit(self) -> int:
        """Make the changes so far visible and durable; return the new generation.

        Leaving the ``with`` statement commits too.

        Raises
        ------
        StorageFullError
            No space is left; nothing is committed.
        IndexStateError
            The writer is closed.
        """
        updater = self._active()
        done = updater.commit()
        while updater.merge():
            pass
        self._committed()
        return done.generation

    def rollback(self) -> None:
        """Discard the changes since the last commit."""
        self._active().rollback()

    def __enter__(self) -> Self:
        if self._closed or self._updater is not None:
            raise IndexStateError(f"{self._path}: this writer was used; make another one")
        self._updater = IndexUpdater(self._path)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        updater = self._active()
        try:
            if kind is None:
                self.commit()
        finally:
            self._closed = True
            updater.close()

    def _active(self) -> IndexUpdater:
        if self._closed:
            raise IndexStateError(f"{self._path}: this writer is closed; make another one")
        if self._updater is None:
            raise IndexStateError(f"{self._path}: use the writer in a with statement")
        return self._updater
