"""Loading of all sources of a recipe into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsr.corpus.opening import IR_DATASETS_PREFIX
from lsr.errors import CorpusError
from lsr.progress import Progress
from lsr_training.data.examples import Example, ExampleError, example_from_record
from lsr_training.data.files import Place, read_records
from lsr_training.data.judged import ir_datasets_pairs, judged_pairs
from lsr_training.recipe.schema import Source


@dataclass(frozen=True)
class Examples:
    """Examples of one source.

    Attributes
    ----------
    source : Source
    items : sequence of Example
    skipped : list of CorpusError
        Malformed records, of a source with ``on_error: skip``.
    fingerprint : str
        SHA-256 of the examples: equal for runs on equal data.
    """

    source: Source
    items: Sequence[Example]
    skipped: list[CorpusError]
    fingerprint: str


def load_examples(
    source: Source, *, needs_scores: bool = False, progress: Progress | None = None
) -> Examples:
    """Read and check the examples of a source.

    Parameters
    ----------
    source : Source
    needs_scores : bool
        Whether every example must have scores, because the objective distils.
    progress : callable, optional

    Raises
    ------
    CorpusError
        A malformed record, unless the source skips them; a source without any example.
    """
    items: list[Example] = []
    skipped: list[CorpusError] = []
    digest = hashlib.sha256()
    for place in _places(source):
        try:
            items.append(_example(place, needs_scores))
        except ExampleError as problem:
            error = CorpusError(str(problem), source.path, place.line)
            if source.on_error == "fail":
                raise error from problem
            skipped.append(error)
            continue
        digest.update(repr(items[-1]).encode("utf-8", "surrogatepass"))
        if progress is not None and len(items) % 1000 == 0:
            progress(f"reading {source.path}", len(items), source.limit)
        if len(items) == source.limit:
            break
    if not items:
        why = f"; the first of {len(skipped)} skipped: {skipped[0]}" if skipped else ""
        raise CorpusError(f"not one example to train on{why}", source.path)
    return Examples(source, items, skipped, digest.hexdigest())


def documents_of(sources: Sequence[Examples]) -> Iterable[str]:
    """Return the distinct documents of all examples, in order."""
    examples = (example for source in sources for example in source.items)
    return dict.fromkeys(text for example in examples for text in example.documents)


def _places(source: Source) -> Iterator[Place]:
    if source.path.startswith(IR_DATASETS_PREFIX):
        return ir_datasets_pairs(source.path)
    path = Path(source.path)
    if path.is_dir():
        return judged_pairs(path, source.split)
    return read_records(path)


def _example(place: Place, needs_scores: bool) -> Example:
    if isinstance(place.record, str):
        raise ExampleError(place.record)
    example = example_from_record(place.record)
    if needs_scores and not example.scores:
        raise ExampleError(
            "no scores, which distillation needs; score the data first (lsr mine --teacher), or "
            "leave kl and margin_mse out of the recipe"
        )
    return example
