"""What can be evaluated: an encoder, an index that is there, a run file.

All three end in `Answers`: a run and, where there was something to time or to count, its cost.
Encoders and the index are imported when they are used: measuring a run file needs neither.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast, get_args

from eval.collections import JudgedCollection
from eval.results import Answers, Indexing, SystemKind
from eval.runs import read_run
from lsr.errors import CorpusError, UsageError

Progress = Callable[[str, int, int | None], None]
"""Called with the stage, what is done of it, and how much there is where that is known."""

QuerySide = Literal["model", "idf"]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How systems that can search are run.

    Attributes
    ----------
    k : int
        Hits kept per topic.
    index_dir : Path or None
        Where indexes of encoders are kept and found again; None: a temporary folder.
    corpus_options : mapping
        Keyword arguments of `lsr.corpus.open_corpus`.
    threads : int
        For the rankings; latency is always measured one query at a time.
    latency_k : int
        Hits asked for when latency is measured; 0 leaves it out.
    """

    k: int = 1000
    index_dir: Path | None = None
    corpus_options: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    latency_k: int = 10

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("threads", 1), ("latency_k", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} {getattr(self, name)}: expected {least} or more")


class System(Protocol):
    """Something that answers the topics of a collection."""

    kind: ClassVar[SystemKind]

    @property
    def name(self) -> str:
        """What a report calls it."""

    @property
    def source(self) -> str:
        """What the user named."""

    def answer(
        self, collection: JudgedCollection, settings: SearchSettings, progress: Progress
    ) -> Answers:
        """Answer all topics."""


@dataclass(frozen=True, slots=True)
class EncoderSystem:
    """Index the corpus with an encoder, then search it.

    Attributes
    ----------
    encoder : str
        What `lsr.encoders.load_encoder` takes: ``bm25``, a model folder, a hub id.
    query_encoder : {"model", "idf"} or None
        Another query side than the encoder's own choice.
    options : mapping
        Further keyword arguments of `load_encoder`.
    """

    encoder: str
    query_encoder: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: ClassVar[SystemKind] = "encoder"

    def __post_init__(self) -> None:
        if self.query_encoder not in (None, *get_args(QuerySide)):
            raise UsageError(
                f"query encoder {self.query_encoder!r}: expected {' or '.join(get_args(QuerySide))}"
            )

    @property
    def name(self) -> str:
        """The last part of the path or hub id, and the query side where one was named."""
        bare = self.encoder.rstrip("/").rsplit("/", 1)[-1]
        return bare if self.query_encoder is None else f"{bare} ({self.query_encoder} queries)"

    @property
    def source(self) -> str:
        """The encoder as it was named."""
        return self.encoder

    def answer(
        self, collection: JudgedCollection, settings: SearchSettings, progress: Progress
    ) -> Answers:
        """Index the corpus, or open the index of an earlier evaluation, and search it."""
        from eval.searching import answers_of
        from index.indexing import index_corpus
        from index.retriever import Retriever
        from lsr.encoders import load_encoder

        corpus = collection.corpus(**settings.corpus_options)
        query_side = cast("QuerySide | None", self.query_encoder)
        encoder = load_encoder(self.encoder, query_encoder=query_side, **self.options)
        with ExitStack() as stack:
            identity = [corpus.fingerprint(), encoder.fingerprint.document]
            label = slug(f"{collection.name}-{self.name}")
            path = encoder_index_path(
                settings.index_dir, label, [*identity, encoder.fingerprint.query], stack
            )
            reused, clock = path.exists(), StageClock(progress)
            if not reused:
                index_corpus(corpus, encoder, path, progress=clock).close()
            times = clock.seconds("encode"), clock.seconds_after("encode")
            retriever = stack.enter_context(Retriever.open(path))
            indexing = Indexing(retriever.index.n_docs, folder_bytes(path), reused, *times)
            return answers_of(retriever, indexing, collection, settings, slug(self.name), progress)


@dataclass(frozen=True, slots=True)
class IndexSystem:
    """Search an index that is there, with the query encoder it was made with."""

    path: Path
    kind: ClassVar[SystemKind] = "index"

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.resolve().name

    @property
    def source(self) -> str:
        """The path as it was given."""
        return str(self.path)

    def answer(
        self, collection: JudgedCollection, settings: SearchSettings, progress: Progress
    ) -> Answers:
        """Search all topics."""
        from eval.searching import answers_of
        from index.retriever import Retriever

        with Retriever.open(self.path) as retriever:
            indexing = Indexing(retriever.index.n_docs, folder_bytes(self.path), reused=True)
            return answers_of(retriever, indexing, collection, settings, slug(self.name), progress)


@dataclass(frozen=True, slots=True)
class RunSystem:
    """Measure a TREC run file as it is, to its full depth."""

    path: Path
    kind: ClassVar[SystemKind] = "run"

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    @property
    def source(self) -> str:
        """The path as it was given."""
        return str(self.path)

    def answer(
        self, collection: JudgedCollection, settings: SearchSettings, progress: Progress
    ) -> Answers:
        """Read the run; refuse one that shares no topic with the collection."""
        run = read_run(self.path)
        answered = sum(1 for qid in collection.qrels if qid in run.rankings)
        if not answered:
            raise CorpusError(
                f"answers none of the {len(collection.qrels)} topics of {collection.name} "
                f"{collection.split} (its first topic is {next(iter(run.rankings))!r}); "
                "it is a run of another collection or split",
                self.path,
            )
        warnings = []
        if answered < len(collection.qrels):
            warnings.append(
                f"{len(collection.qrels) - answered} of {len(collection.qrels)} topics are not in "
                "the run; they count as 0"
            )
        return Answers(run, warnings=tuple(warnings))


class StageClock:
    """Passes progress on and notes when stages began, went on and ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._spans: dict[str, tuple[float, float]] = {}
        self._resumed: set[str] = set()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take one report."""
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


def encoder_index_path(
    folder: Path | None, label: str, identity: Sequence[object], stack: ExitStack
) -> Path:
    """Return where the index of an encoder is kept, or made for this evaluation only.

    Parameters
    ----------
    folder : Path or None
        None: a temporary one, removed when `stack` is left.
    label : str
        Beginning of the name.
    identity : sequence
        What makes another index: corpus and encoders.
    stack : ExitStack
    """
    if folder is None:
        temporary = tempfile.TemporaryDirectory(prefix="lsr-eval-")
        folder = Path(stack.enter_context(temporary))
    else:
        folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr(list(identity)).encode())
    return folder / f"{label}-{digest.hexdigest()[:12]}.index"


def folder_bytes(path: Path) -> int:
    """Return the size of all files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def slug(text: str) -> str:
    """Return text as a part of a file name: letters, digits, dots and dashes."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.") or "system"
