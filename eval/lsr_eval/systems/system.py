"""Systems that can be evaluated: a sparse or dense encoder, an existing index, a run file.

Each returns `Answers`: a run and, except for run files, its cost. Encoders and the index are
imported when they are used: measuring a run file needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast, get_args

from lsr.errors import CorpusError, UsageError
from lsr.trec.runs import read_run, slug
from lsr_eval.results import Answers, SystemKind
from lsr_eval.systems.task import Trial

QuerySide = Literal["model", "idf"]
Mode = Literal["sparse", "dense", "hybrid"]


class System(Protocol):
    """System that answers the topics of a collection."""

    kind: ClassVar[SystemKind]

    @property
    def name(self) -> str:
        """Name in a report."""

    @property
    def source(self) -> str:
        """What the user named."""

    def answer(self, trial: Trial) -> Answers:
        """Answer all topics."""


@dataclass(frozen=True, slots=True)
class EncoderSystem:
    """Index the corpus with an encoder, then search it.

    `encoder` and `options` are those of `lsr.encoders.load_encoder`; `query_encoder`, "model" or
    "idf", is another query side than the encoder's own choice.
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
        bare = _last_part(self.encoder)
        return bare if self.query_encoder is None else f"{bare} ({self.query_encoder} queries)"

    @property
    def source(self) -> str:
        """The encoder as it was named."""
        return self.encoder

    def answer(self, trial: Trial) -> Answers:
        """Index the corpus, or open the index of an earlier evaluation, and search it."""
        from lsr.encoders import load_encoder
        from lsr_eval.systems.indexes import made_index
        from lsr_eval.systems.search import answers_of

        query_side = cast("QuerySide | None", self.query_encoder)
        encoder = load_encoder(self.encoder, query_encoder=query_side, options=self.options)
        with made_index(trial, self.name, encoder) as (retriever, indexing):
            return answers_of(retriever, indexing, slug(self.name), trial)


@dataclass(frozen=True, slots=True)
class DenseSystem:
    """Encode the corpus with a dense encoder, then search the vectors.

    The index it makes has the vectors of BM25 too, so that it can be searched with mode hybrid.
    `encoder` and `options` are those of `lsr.encoders.dense.load_dense_encoder`.
    """

    encoder: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: ClassVar[SystemKind] = "encoder"

    @property
    def name(self) -> str:
        """The last part of the path or hub id."""
        return _last_part(self.encoder)

    @property
    def source(self) -> str:
        """The encoder as it was named."""
        return self.encoder

    def answer(self, trial: Trial) -> Answers:
        """Index the corpus, or open the index of an earlier evaluation, and search it."""
        from lsr.encoders import load_encoder
        from lsr.encoders.dense import load_dense_encoder
        from lsr_eval.systems.indexes import made_index
        from lsr_eval.systems.search import branch_answers
        from lsr_index.hybrid import Retriever

        encoder, lexical = load_dense_encoder(self.encoder, **self.options), load_encoder("bm25")
        with made_index(trial, self.name, lexical, encoder) as (retriever, indexing):
            dense = Retriever.of(retriever.index, retriever.encoder, dense_encoder=encoder)
            return branch_answers(dense, "dense", indexing, slug(self.name), trial)


@dataclass(frozen=True, slots=True)
class IndexSystem:
    """Search of an existing index as ``lsr search`` does it, with its own encoders.

    With mode hybrid, `fusion` is what `lsr_index.fusion.fusion_of` reads (None: the default) and
    `selective` what `lsr_index.hybrid.selection_for` reads.
    """

    path: Path
    mode: Mode = "sparse"
    fusion: str | None = None
    selective: Path | None = None
    kind: ClassVar[SystemKind] = "index"

    def __post_init__(self) -> None:
        if self.mode == "hybrid":
            return
        if self.fusion is not None:
            raise UsageError("a fusion needs several branches; use it with mode hybrid")
        if self.selective is not None:
            raise UsageError("a selection needs sparse and dense vectors; use it with mode hybrid")

    @property
    def name(self) -> str:
        """Name of the folder, and the mode unless it is sparse."""
        folder = self.path.resolve().name
        if self.mode == "sparse":
            return folder
        how = self.mode if self.fusion is None else f"{self.mode}, {Path(self.fusion).name}"
        return f"{folder} ({how}{'' if self.selective is None else ', selective'})"

    @property
    def source(self) -> str:
        """The path as it was given."""
        return str(self.path)

    def answer(self, trial: Trial) -> Answers:
        """Search all topics."""
        from lsr_eval.systems.indexes import opened_index
        from lsr_eval.systems.search import answers_of, branch_answers
        from lsr_index.fusion import fusion_of
        from lsr_index.hybrid import identities, selection_for

        with opened_index(self.path) as (retriever, indexing):
            tag = slug(self.name)
            if self.mode == "sparse":
                return answers_of(retriever, indexing, tag, trial)
            parts, fusion, selection = identities(retriever.chosen(self.mode)), None, None
            if self.fusion is not None:
                fusion = fusion_of(self.fusion, parts)
            if self.selective is not None:
                selection = selection_for(self.selective, retriever.index)
            return branch_answers(
                retriever, self.mode, indexing, tag, trial, fusion=fusion, selection=selection
            )


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

    def answer(self, trial: Trial) -> Answers:
        """Read the run; raise if it shares no topic with the collection."""
        run, collection = read_run(self.path), trial.collection
        answered = sum(1 for qid in collection.qrels if qid in run.rankings)
        if not answered:
            raise CorpusError(
                f"answers none of the {len(collection.qrels)} topics of {collection.name} "
                f"{collection.split} (its first topic is {next(iter(run.rankings))!r}); "
                "it is a run of another collection or split",
                self.path,
            )
        absent = len(collection.qrels) - answered
        warning = f"{absent} of {len(collection.qrels)} topics are not in the run; they count as 0"
        return Answers(run, warnings=(warning,) if absent else ())


def _last_part(encoder: str) -> str:
    """Return the name in a report of an encoder given by path or hub id."""
    return encoder.rstrip("/").rsplit("/", 1)[-1]
