"""From a corpus to an index: encode to disk, then build.

Two stages, so that the expensive one resumes. Encoding writes shards into ``<index>.building`` and
continues there after an interruption; building reads the shards and makes the index appear at its
path in one step. The shards are removed once the index is committed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from index.build import build_index
from index.reader import Index, open_index
from lsr.corpus import Corpus
from lsr.encoders.base import Encoder
from lsr.encoding import encode_corpus
from lsr.errors import CorpusError, IndexExistsError, UsageError

Progress = Callable[[str, int, int | None], None]
"""Called with the stage, what is done of it, and how much there is where that is known."""

DEFAULT_MEMORY_BYTES = 1 << 30


def index_corpus(
    corpus: Corpus,
    encoder: Encoder,
    path: Path | str,
    *,
    overwrite: bool = False,
    shard_docs: int = 4096,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    reorder: bool | None = None,
    compact: bool = False,
    progress: Progress | None = None,
) -> Index:
    """Encode a corpus and build an index of it.

    An interrupted call leaves ``<path>.building``; the same call again continues there and gives
    the same index, byte for byte.

    Parameters
    ----------
    corpus : Corpus
    encoder : Encoder
    path : path
        Where the index will be. Its folder must exist.
    overwrite : bool
        Replace an index that is already there. It serves until the new one is complete.
    shard_docs : int
        Documents per shard: the unit of resuming.
    memory_bytes : int
        Bound on the working memory of the build.
    reorder, compact
        See `index.build.build_index`.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Raises
    ------
    IndexExistsError
        Something is at `path` and `overwrite` is off, or it is not an index.
    CorpusError
        The corpus is malformed or holds no document.
    StorageFullError
        No room is left; run again when there is.
    """
    path = Path(path)
    replacing = _check_target(path, overwrite)
    workspace = path.with_name(path.name + ".building")
    collection = encode_corpus(
        corpus, encoder, workspace / "encoded", shard_docs=shard_docs, progress=progress
    )
    if collection.n_docs == 0:
        shutil.rmtree(workspace)
        raise CorpusError("there is not one document in it; nothing to index", corpus.name)
    target = workspace / "index" if replacing else path
    if replacing and target.exists():
        shutil.rmtree(target)
    build_index(
        target,
        collection.batches,
        encoder=collection.encoder.assets(),
        fingerprint=collection.encoder.fingerprint,
        n_terms=collection.encoder.n_terms,
        memory_bytes=memory_bytes,
        reorder=reorder,
        compact=compact,
        progress=progress,
    ).close()
    if replacing:
        _swap(target, path, workspace / "replaced")
    shutil.rmtree(workspace)
    return open_index(path)


def _check_target(path: Path, overwrite: bool) -> bool:
    """Return whether an index will be replaced; raise when it must not or cannot be."""
    if not path.exists():
        if not path.parent.is_dir():
            raise UsageError(f"{path.parent} is no folder; make it, or choose another place")
        return False
    if not overwrite:
        raise IndexExistsError(
            f"{path} exists already; choose another place, or replace it with --overwrite"
        )
    open_index(path).close()  # refuses to replace what is no index
    return True


def _swap(new: Path, path: Path, aside: Path) -> None:
    path.rename(aside)
    try:
        new.rename(path)
    except OSError:
        aside.rename(path)
        raise
