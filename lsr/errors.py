"""Everything that can go wrong, as one tree.

::

    LsrError
    ├── UsageError (ValueError)                 the request cannot be carried out as asked
    │   └── MissingDependencyError (ImportError) an optional extra is not installed
    ├── DataError (ValueError)                  the user's data is not what it should be
    │   ├── DocumentError                       one document of a batch
    │   ├── CorpusError                         a corpus, query or qrels file, with its line
    │   └── VectorError                         a sparse vector or a file of vectors
    ├── ModelError (ValueError)                 a model folder cannot be loaded
    │   └── PickleWeightsError                  only pickled weights are there
    ├── EncoderMismatchError (ValueError)       a query or document from another encoder
    ├── IndexStateError (RuntimeError)          the index cannot do this now
    │   ├── IndexNotFoundError (FileNotFoundError)
    │   ├── IndexExistsError (FileExistsError)
    │   ├── IndexLockedError                    another writer holds the lock
    │   ├── CommitOutcomeError                  a commit may or may not have happened: open again
    │   └── StorageFullError (OSError)          no room left; the old state is untouched
    └── IndexFormatError (ValueError)           the files of an index are not readable
        ├── FormatVersionError                  written by another version of the format
        └── CorruptIndexError                   damaged: names the file and the offset

Every message says what is wrong, where, what was expected and what to do. Each class also inherits
a builtin, so that code which knows nothing of this package can still catch it. A class is for
callers who want to act on the difference; the text is for people.
"""

from __future__ import annotations

from pathlib import Path


def first_line(error: BaseException) -> str:
    """Return the first line of what another library says, at most 300 characters."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


class LsrError(Exception):
    """Base of every error this package raises on purpose."""


class UsageError(LsrError, ValueError):
    """The request cannot be carried out as asked: an option, an argument or a combination."""


class MissingDependencyError(UsageError, ImportError):
    """An optional part is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra [{extra}], which is not installed; "
            f"run in a copy of the repository: pip install '.[{extra}]'"
        )


class DataError(LsrError, ValueError):
    """The user's data is not what it should be."""


class DocumentError(DataError):
    """One document of a batch is refused.

    Parameters
    ----------
    problem : str
        What is wrong with it, without any of its content.
    position : int
        In the batch, from 0.
    """

    def __init__(self, problem: str, doc_id: str, position: int) -> None:
        super().__init__(f"document {doc_id!r}: {problem}")
        self.problem = problem
        self.position = position


class CorpusError(DataError):
    """A corpus, query or qrels file is malformed.

    Parameters
    ----------
    message : str
        What is wrong, what was expected, what to do.
    line : int, optional
        The line in the file `path`, counted from 1.
    """

    def __init__(
        self, message: str, path: Path | str | None = None, line: int | None = None
    ) -> None:
        where = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(where + message)
        self.path = path
        self.line = line


class VectorError(DataError):
    """A sparse vector, or a file of them, breaks a rule of `SparseBatch`."""


class ModelError(LsrError, ValueError):
    """A model folder or hub id cannot be loaded as an encoder."""


class PickleWeightsError(ModelError):
    """A model has pickled weights only, which are not loaded: a pickle can run code."""


class EncoderMismatchError(LsrError, ValueError):
    """A query or a document comes from another encoder than the index was made with."""


class IndexStateError(LsrError, RuntimeError):
    """The index cannot do this in its present state."""


class IndexNotFoundError(IndexStateError, FileNotFoundError):
    """There is no index at this path."""


class IndexExistsError(IndexStateError, FileExistsError):
    """Something is at the path already and would be overwritten."""


class IndexLockedError(IndexStateError):
    """Another writer holds the lock of this index."""


class CommitOutcomeError(IndexStateError):
    """The disk failed while a commit was made final: it may or may not have happened.

    Open the index again to see which; repeating an upsert or a delete is harmless.
    """


class StorageFullError(IndexStateError, OSError):
    """No room is left on the device. What was committed before is untouched."""


class IndexFormatError(LsrError, ValueError):
    """The files of an index cannot be read."""


class FormatVersionError(IndexFormatError):
    """The files were written by another version of the format."""


class CorruptIndexError(IndexFormatError):
    """A file of an index is damaged: what is wrong, where, and at which byte."""

    def __init__(self, message: str, path: Path | str, offset: int | None = None) -> None:
        where = f"{path}" if offset is None else f"{path} at byte {offset}"
        super().__init__(f"{where}: {message}")
        self.path = path
        self.offset = offset


def require_text(what: str, text: object) -> None:
    """Raise UsageError unless `text` is a string that UTF-8 can encode."""
    if not isinstance(text, str):
        raise UsageError(f"{what} must be a string, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{what} holds a lone surrogate (character {error.start + 1}); expected valid Unicode"
        ) from None
