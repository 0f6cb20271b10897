"""Systems that search dense vectors, or several branches of an index at once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from eval.collections import JudgedCollection
from eval.results import Answers, Indexing, SystemKind
from eval.runs import Ranking, Run
from eval.systems import (
    Progress,
    SearchSettings,
    StageClock,
    encoder_index_path,
    folder_bytes,
    slug,
)
from lsr.errors import UsageError

if TYPE_CHECKING:
    from index.dense.selective import Selection
    from index.fusion import Fusion
    from index.hybrid import HybridRetriever

Mode = Literal["dense", "hybrid"]


@dataclass(frozen=True, slots=True)
class DenseSystem:
    """Encode the corpus with a dense encoder, then search the vectors.

    The index it makes has the vectors of BM25 too, so that it can be searched with mode hybrid.

    Attributes
    ----------
    encoder : str
        What `lsr.encoders.dense.load_dense_encoder` takes.
    options : mapping
        Its further keyword arguments.
    """

    encoder: str
    options: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[SystemKind] = "encoder"

    @property
    def name(self) -> str:
        """The last part of the path or hub id."""
        return self.encoder.rstrip("/").rsplit("/", 1)[-1]

    @property
    def source(self) -> str:
        """The encoder as it was named."""
        return self.encoder

    def answer(
        self, collection: JudgedCollection, settings: SearchSettings, progress: Progress
    ) -> Answers:
        """Index the corpus, or open the index of an earlier evaluation, and search it."""
        from index.hybrid import HybridRetriever
        from index.indexing import index_corpus
        from index.retriever import Retriever
        from lsr.encoders import load_encoder
        from lsr.encoders.dense import load_dense_encoder

        corpus = collection.corpus(**settings.corpus_options)
        encoder, lexical = load_dense_encoder(self.encoder, **self.options), load_encoder("bm25")
        with ExitStack() as stack:
            identity = [
                corpus.fingerprint(),
                lexical.fingerprint.document,
                encoder.fingerprint.document,
                encoder.fingerprint.query,
            ]
            label = slug(f"{collection.name}-{self.name}")
            path = encoder_index_path(settings.index_dir, label, identity, stack)
            reused, clock = path.exists(), StageClock(progress)
            if not reused:
                index_corpus(corpus, lexical, path, dense=encoder, progress=clock).close()
            times = clock.seconds("encode"), clock.seconds_after("encode")
            retriever = stack.enter_context(Retriever.open(path))
            hybrid = HybridRetriever.of(retriever, dense_encoder=encoder)
            indexing = Indexing(retriever.index.n_docs, folder_bytes(path), reused, *times)
            return _answers(
                hybrid, "dense", None, indexing, collection, settings, self.name, progress
            )


@dataclass(frozen=True, slots=True)
class BranchSystem:
    """Search an index that is there in mode dense or hybrid, as ``lsr search`` does.

    Attributes
    ----------
    path : Path
    mode : {"dense", "hybrid"}
    fusion : str or None
        What `index.fusion.fusion_of` reads; None: the default.
    selective : Path or None
        With mode hybrid: what `index.hybrid.selection_for` reads.
    """

    path: Path
    mode: Mode
    fusion: str | None = None
    selective: Path | None = None
    kind: ClassVar[SystemKind] = "index"

    @property
    def name(self) -> str:
        """Name of the folder, and the mode."""
        how = self.mode if self.fusion is None else f"{self.mode}, {Path(self.fusion).name}"
        how += "" if self.selective is None else ", selective"
        return f"{self.path.resolve().name} ({how})"

    @property
    def source(self) -> str:
        """The path as it was given."""
        return str(self.path)

    def answer(
        self, collection: JudgedCollection, settings: SearchSettings, progress: Progress
    ) -> Answers:
        """Search all topics."""
        from index.fusion import fusion_of
        from index.hybrid import HybridRetriever, identities, selection_for
        from index.retriever import Retriever

        with Retriever.open(self.path) as retriever:
            hybrid = HybridRetriever.of(retriever)
            branches = hybrid.chosen("dense" if self.mode == "dense" else None)
            fusion = None if self.fusion is None else fusion_of(self.fusion, identities(branches))
            selection = None
            if self.selective is not None:
                selection = selection_for(self.selective, retriever.index)
            indexing = Indexing(retriever.index.n_docs, folder_bytes(self.path), reused=True)
            return _answers(
                hybrid,
                self.mode,
                fusion,
                indexing,
                collection,
                settings,
                self.name,
                progress,
                selection,
            )


def _answers(
    hybrid: HybridRetriever,
    mode: Mode,
    fusion: Fusion | None,
    indexing: Indexing,
    collection: JudgedCollection,
    settings: SearchSettings,
    name: str,
    progress: Progress,
    selection: Selection | None = None,
) -> Answers:
    from eval.latency import measure_latency
    from eval.searching import absent_documents

    kind: Literal["dense"] | None = "dense" if mode == "dense" else None
    branches = hybrid.chosen(kind)
    if fusion is not None and kind is not None:
        raise UsageError("a fusion needs several branches; use it with mode hybrid")
    warnings = absent_documents(branches[0].index, collection)
    for branch in branches:
        branch.load()
    rankings, rank_safe = {}, True
    total = len(collection.queries)
    for done, query in enumerate(collection.queries):
        progress("search", done, total)
        # One hit more where the query itself will be dropped, so that k remain.
        k = settings.k + collection.drop_query_id
        found = hybrid.rank(query.text, k, kind=kind, fusion=fusion, selection=selection)
        ranking = Ranking.of(found.ids, found.scores)
        if collection.drop_query_id:
            ranking = ranking.without(query.id).top(settings.k)
        rankings[query.id] = ranking
        rank_safe &= found.rank_safe
    progress("search", total, total)
    latency = None
    if settings.latency_k:
        progress("latency", 0, None)
        latency = measure_latency(
            lambda text, k: hybrid.search(text, k, kind=kind, fusion=fusion, selection=selection),
            [query.text for query in collection.queries],
            k=settings.latency_k,
        )
    digests = [b.fingerprint.digest for b in branches if b.fingerprint is not None]
    return Answers(
        Run(slug(name), rankings),
        rank_safe,
        "+".join(digests) or None,
        None,
        latency,
        indexing,
        warnings,
        branches[0].least_score if len(branches) == 1 else None,
    )
