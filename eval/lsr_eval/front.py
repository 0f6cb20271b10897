"""`evaluate` of the front door: systems side by side, named or open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lsr.errors import UsageError
from lsr.progress import Progress
from lsr_eval.collections.collection import open_collection
from lsr_eval.experiment import run_experiment
from lsr_eval.measures.significance import Correction, Test
from lsr_eval.results import Report
from lsr_eval.systems.system import EncoderSystem, IndexSystem, Mode, RunSystem, System
from lsr_eval.systems.task import SearchSettings
from lsr_index.api import SearchIndex


def evaluate(
    collection: str | Path,
    systems: Sequence[SearchIndex | str | Path | System],
    *,
    measures: Iterable[str] | None = None,
    mode: Mode = "sparse",
    fusion: str | None = None,
    split: str | None = None,
    k: int = 1000,
    threads: int = 1,
    index_dir: str | Path | None = None,
    corpus_options: Mapping[str, Any] | None = None,
    test: Test = "permutation",
    correction: Correction = "holm",
    progress: Progress | None = None,
) -> Report:
    """Compare systems on a test collection; the first is the baseline.

    Parameters
    ----------
    collection : str or path
        A folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/``, or an ir-datasets id.
    systems : sequence of SearchIndex, str or path
        Indexes of this corpus, open or by their folders; TREC run files; names of encoders, with
        which the corpus is indexed.
    measures : iterable of str, optional
        Names of ir-measures, such as ``"nDCG@10"``, cut off at `k` or before. Default:
        `lsr.trec.measures.DEFAULT_MEASURES`, their cutoffs lowered to `k`.
    mode : {"sparse", "dense", "hybrid"}
        How indexes are searched.
    fusion : str, optional
        With mode "hybrid".
    split : str, optional
        Which judgments; "test" unless given.
    k : int
        Hits retrieved per topic. Run files are measured to their full depth.
    threads : int
        Of the search for rankings.
    index_dir : path, optional
        Keeps the indexes of encoders. A later evaluation of the same corpus and encoder reuses
        them, an interrupted one resumes. Without it they are temporary.
    corpus_options : mapping, optional
        Keyword arguments of `lsr.corpus.open_corpus`.
    test, correction
        Of significance; see `lsr_eval.measures.significance.compare`.
    progress : callable, optional
        ``progress(stage, done, total)``.

    Raises
    ------
    UsageError
        No system, or one that is none; an unknown measure or split.
    CorpusError
        Malformed data, or data that do not belong together.

    Examples
    --------
    >>> report = evaluate(tmp / "beir", ["bm25"], measures=["nDCG@10"])
    >>> round(report.systems[0].measured.overall["nDCG@10"], 2)
    1.0
    """
    if isinstance(systems, str | Path | SearchIndex):
        raise UsageError("systems must be a list, even of one system")
    return run_experiment(
        open_collection(collection, split=split),
        [_system(each, mode, fusion) for each in systems],
        measures=measures,
        settings=SearchSettings(
            k=k,
            index_dir=None if index_dir is None else Path(index_dir),
            corpus_options=dict(corpus_options or {}),
            threads=threads,
        ),
        test=test,
        correction=correction,
        progress=progress,
    )


def _system(given: Any, mode: Mode, fusion: str | None) -> System:
    """Return the system that an open index, a path or a name stands for."""
    if isinstance(given, SearchIndex):
        return IndexSystem(given.path, mode, fusion)
    if isinstance(given, str | Path):
        path = Path(given)
        if path.is_dir() and any(path.glob("MANIFEST-*")):
            return IndexSystem(path, mode, fusion)
        return RunSystem(path) if path.is_file() else EncoderSystem(str(given))
    if hasattr(given, "answer") and hasattr(given, "kind"):
        system: System = given
        return system
    raise UsageError(
        f"a system is an index, a run file or the name of an encoder, got {type(given).__name__}"
    )
