"""`mine`: negatives from the ranking of each query, scored by teachers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lsr.errors import UsageError
from lsr.progress import Progress
from lsr_index.hybrid import RankedIds
from lsr_training.data import Example, load_examples
from lsr_training.mining.collection import MiningCollection, key
from lsr_training.mining.output import MiningOutput
from lsr_training.mining.teachers import Candidates, open_teacher
from lsr_training.recipe.schema import Source

CHUNK = 128


@dataclass(frozen=True)
class MiningOptions:
    """Options of mining.

    Attributes
    ----------
    encoder : str
        Encoder whose ranking is used: ``bm25`` or a SPLADE model.
    negatives : int
        Kept for each example; fewer if fewer are found.
    depth : int
        Ranks to choose from.
    skip_top : int
        Top ranks that are skipped, because unjudged positives are there.
    max_score_ratio : float or None
        Skip documents above this share of the positive's score: they are likely positives.
    choice : {"top", "random"}
        The best of them, or any of them by seed.
    teachers : sequence of str
        Teachers that score positive and negatives; see `lsr_training.mining.teachers`.
    seed : int
    """

    encoder: str = "bm25"
    negatives: int = 8
    depth: int = 100
    skip_top: int = 0
    max_score_ratio: float | None = None
    choice: Literal["top", "random"] = "top"
    teachers: Sequence[str] = ()
    seed: int = 42

    def __post_init__(self) -> None:
        if self.negatives < 1 or self.depth <= self.skip_top or self.skip_top < 0:
            raise UsageError(
                f"negatives {self.negatives}, depth {self.depth}, skip_top {self.skip_top}: "
                "expected at least one negative and a depth beyond skip_top"
            )
        if self.choice not in ("top", "random"):
            raise UsageError(f"choice {self.choice!r}: expected top or random")


@dataclass(frozen=True)
class MiningResult:
    """Result of mining: the file, and its numbers of examples, of negatives, and of examples
    without any.
    """

    path: Path
    n_examples: int
    n_negatives: int
    n_without: int


def mine(
    source: Source,
    out: Path | str,
    options: MiningOptions | None = None,
    *,
    corpus: str | None = None,
    work: Path | str | None = None,
    progress: Progress | None = None,
) -> MiningResult:
    """Mine hard negatives for the pairs of a source.

    The same call after an interruption resumes, with the same result.

    Parameters
    ----------
    source : Source
        Pairs; negatives that they have already are replaced.
    out : path
        A ``.jsonl`` file to write: query, positive, negatives and, with teachers, scores.
    options : MiningOptions, optional
    corpus : str, optional
        Where to look for negatives; by default among the documents of the source.
    work : path, optional
        Folder for the indexes, ``<out>.mining`` by default. It is kept for mining with further
        models and may be removed.
    progress : callable, optional

    Raises
    ------
    UsageError
        An option is out of range, or `out` exists.
    CorpusError
        The source or the corpus is malformed.
    """
    options = options or MiningOptions()
    progress = progress or (lambda *_: None)
    out = Path(out)
    examples = load_examples(source, progress=progress)
    chosen = {**asdict(options), "teachers": list(options.teachers)}
    identity = {"options": chosen, "corpus": corpus, "data": examples.fingerprint}
    output = MiningOutput(out, identity)
    folder = Path(work) if work else out.with_name(out.name + ".mining")
    collection = MiningCollection(folder, examples.items, corpus, progress)
    try:
        miner = _Miner(options, collection, examples.items)
        for start in range(output.done, len(examples.items), CHUNK):
            end = min(start + CHUNK, len(examples.items))
            output.append(miner.records(start, end))
            progress("mining", end, len(examples.items))
    finally:
        collection.close()
    n_negatives, n_without = output.finish()
    return MiningResult(out, len(examples.items), n_negatives, n_without)


class _Miner:
    def __init__(
        self, options: MiningOptions, collection: MiningCollection, examples: Sequence[Example]
    ) -> None:
        self._options = options
        self._collection = collection
        self._examples = examples
        self._retriever = collection.retriever(options.encoder)
        self._teachers = {n: open_teacher(n, collection.retriever) for n in options.teachers}
        self._own = open_teacher(options.encoder, collection.retriever)
        # A query may stand in several pairs: all its positives are no negatives.
        self._positives: dict[str, set[str]] = {}
        for example in examples:
            self._positives.setdefault(key(example.query), set()).add(key(example.documents[0]))

    def records(self, start: int, end: int) -> list[dict[str, Any]]:
        """Return the records of some examples."""
        chunk = self._examples[start:end]
        most = max(len(self._positives[key(example.query)]) for example in chunk)
        hits = self._retriever.search_batch(
            [example.query for example in chunk], k=self._options.depth + most
        )
        candidates = [
            self._candidates(start + i, example, found)
            for i, (example, found) in enumerate(zip(chunk, hits, strict=True))
        ]
        scores = {name: teacher(candidates) for name, teacher in self._teachers.items()}
        return [
            {
                "query": example.query,
                "positive": example.documents[0],
                "negatives": c.texts[1:],
                **({"scores": {t: rows[i] for t, rows in scores.items()}} if scores else {}),
            }
            for i, (example, c) in enumerate(zip(chunk, candidates, strict=True))
        ]

    def _candidates(self, number: int, example: Example, found: RankedIds) -> Candidates:
        """Choose the negatives of an example; the positive stands first."""
        options = self._options
        positives = self._positives[key(example.query)]
        index = self._retriever.index
        places = [index.find(doc_id) for doc_id in found.ids]
        documents = index.documents([place for place in places if place is not None])
        limit = self._limit(example)
        kept = [
            document
            for document, score in zip(documents, found.scores, strict=True)
            if key(document.text) not in positives and (limit is None or score <= limit)
        ][options.skip_top : options.depth]
        if options.choice == "random" and len(kept) > options.negatives:
            rng = np.random.default_rng([options.seed, number])
            kept = [kept[i] for i in np.sort(rng.permutation(len(kept))[: options.negatives])]
        kept = kept[: options.negatives]
        positive = example.documents[0]
        return Candidates(
            example.query,
            [self._collection.doc_id(positive), *(document.id for document in kept)],
            [positive, *(document.text for document in kept)],
        )

    def _limit(self, example: Example) -> float | None:
        ratio = self._options.max_score_ratio
        if ratio is None:
            return None
        positive = example.documents[0]
        doc_id = self._collection.doc_id(positive)
        ((score,),) = self._own([Candidates(example.query, [doc_id], [positive])])
        return ratio * score
