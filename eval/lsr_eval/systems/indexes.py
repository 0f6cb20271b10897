"""Indexes of an experiment: built from the collection with an encoder, or existing ones."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lsr.progress import Progress
from lsr.trec.runs import slug
from lsr_eval.bench.machine import folder_bytes
from lsr_eval.results import Indexing
from lsr_eval.systems.task import Trial
from lsr_index.build.index_corpus import index_corpus
from lsr_index.hybrid import Retriever

if TYPE_CHECKING:
    from lsr.encoders import Encoder
    from lsr.encoders.dense import DenseEncoder


@contextmanager
def opened_index(path: Path) -> Iterator[tuple[Retriever, Indexing]]:
    """Open an existing index for the duration of the context."""
    with Retriever.open(path) as retriever:
        yield retriever, Indexing(retriever.index.n_docs, folder_bytes(path), reused=True)


@contextmanager
def made_index(
    trial: Trial, name: str, encoder: Encoder, dense: DenseEncoder | None = None
) -> Iterator[tuple[Retriever, Indexing]]:
    """Index the corpus, or open the index of an earlier evaluation, within the context.

    `name`, of the system, is a part of the name of the index. With `dense`, the index has dense
    vectors as well, and queries are encoded by it.
    """
    collection, folder = trial.collection, trial.settings.index_dir
    corpus = collection.corpus(**trial.settings.corpus_options)
    query_side = encoder if dense is None else dense
    made_by = [each.fingerprint.document for each in (encoder, dense) if each is not None]
    identity = [corpus.fingerprint(), *made_by, query_side.fingerprint.query]
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:12]
    with ExitStack() as stack:
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="lsr-eval-")
            folder = Path(stack.enter_context(temporary))
        else:
            folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{slug(f'{collection.name}-{name}')}-{digest}.index"
        reused, clock = path.exists(), StageClock(trial.progress)
        if not reused:
            index_corpus(corpus, encoder, path, dense=dense, progress=clock).close()
        times = clock.seconds("encode"), clock.seconds_after("encode")
        retriever = stack.enter_context(Retriever.open(path))
        yield retriever, Indexing(retriever.index.n_docs, folder_bytes(path), reused, *times)


class StageClock:
    """Progress callback that also records the times of stages."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._spans: dict[str, tuple[float, float]] = {}
        self._resumed: set[str] = set()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Record one report and pass it on."""
        now = time.perf_counter()
        if stage not in self._spans and done > 0:
            self._resumed.add(stage)
        self._spans[stage] = (self._spans.get(stage, (now, now))[0], now)
        self._progress(stage, done, total)

    def seconds(self, stage: str) -> float | None:
        """Return how long a stage took from its start; None when the start was not seen."""
        if stage not in self._spans or stage in self._resumed:
            return None
        start, end = self._spans[stage]
        return end - start

    def seconds_after(self, stage: str) -> float | None:
        """Return the time from the end of a stage until now; None when it did not run."""
        return time.perf_counter() - self._spans[stage][1] if stage in self._spans else None
