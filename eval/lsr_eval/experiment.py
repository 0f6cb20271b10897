"""Experiments: several systems evaluated on one test collection."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsr import __version__
from lsr.errors import UsageError
from lsr.machine import cpu_count
from lsr.progress import Progress
from lsr.trec.measures import measure_run, measures_within
from lsr_eval.collections.collection import JudgedCollection, open_collection
from lsr_eval.comparisons import compare_with_first, compare_with_parts
from lsr_eval.measures.significance import (
    N_RESAMPLES,
    SEED,
    Correction,
    Test,
    bootstrap_interval,
    check_choices,
)
from lsr_eval.results import Answers, Report, SystemKind, SystemReport
from lsr_eval.systems.factory import OneOrMore, encoder_systems, index_systems, is_dense, listed
from lsr_eval.systems.fusions import FusedSystem, fused_systems
from lsr_eval.systems.system import DenseSystem, EncoderSystem, Mode, RunSystem, System
from lsr_eval.systems.task import SearchSettings, Trial

_QUICK_FIRST: tuple[SystemKind, ...] = ("run", "index", "encoder")
_LIBRARIES = ("numpy", "numba", "ir-measures", "ir-datasets")


def evaluate(
    collection: str | Path,
    *,
    encoder: OneOrMore = (),
    index: OneOrMore = (),
    run: OneOrMore = (),
    dense: OneOrMore = (),
    mode: Mode = "sparse",
    fusion: OneOrMore = (),
    selective: str | Path | None = None,
    query_encoder: str | None = None,
    encoder_options: Mapping[str, Any] | None = None,
    corpus_options: Mapping[str, Any] | None = None,
    split: str | None = None,
    measures: Iterable[str] | None = None,
    k: int = 1000,
    drop_query_id: bool | None = None,
    index_dir: str | Path | None = None,
    threads: int = 1,
    test: Test = "permutation",
    correction: Correction = "holm",
    progress: Progress | None = None,
) -> Report:
    """Evaluate encoders, indexes and run files on a test collection.

    Systems are compared with the first: encoders first, then dense ones, indexes, runs, each in the
    order given. Fusions come last and are compared with their parts as well. Parameters that are
    not described here are those of `lsr.evaluate`.

    Parameters
    ----------
    encoder : str or sequence of str
        ``bm25``, model folders, hub ids: the corpus is indexed with each of them.
    index : path or sequence of paths
        Indexes of this corpus, searched with the encoders they were made with.
    run : path or sequence of paths
        TREC run files.
    dense : str or sequence of str
        Dense encoders: ``minilm``, model folders, hub ids.
    mode : {"sparse", "dense", "hybrid"}
        How indexes are searched; with "hybrid" their branches are measured too.
    fusion : str or sequence of str
        Methods or files of ``lsr fit-fusion``. With mode "hybrid" they fuse the branches of each
        index; otherwise the rankings of the systems, see `lsr_eval.systems.fusions.fused_systems`.
    selective : path, optional
        A file of ``lsr fit-selection``. With mode "hybrid" each fusion is measured with it as well.
    query_encoder : str, optional
        ``idf`` or ``model``: the query side of the encoders.
    encoder_options : mapping, optional
        Further keyword arguments of `lsr.encoders.load_encoder`. With ``bm25`` beside models, each
        gets those that are its own; otherwise one that does not belong is an error.
    drop_query_id : bool, optional
        Leave out hits whose id equals the query's id; by default for ArguAna and Quora.

    Raises
    ------
    UsageError
        No system at all, an unknown measure, split, encoder or test.
    CorpusError
        Malformed data, or data that do not belong together.
    """
    fusions = [str(name) for name in listed(fusion)]
    systems: list[System] = [
        *encoder_systems(encoder, query_encoder, encoder_options or {}),
        *(DenseSystem(str(name)) for name in listed(dense)),
        *index_systems(index, mode, fusions, selective),
        *(RunSystem(Path(path)) for path in listed(run)),
    ]
    return run_experiment(
        open_collection(collection, split=split, drop_query_id=drop_query_id),
        systems,
        measures=measures,
        settings=SearchSettings(
            k=k,
            index_dir=None if index_dir is None else Path(index_dir),
            corpus_options=dict(corpus_options or {}),
            threads=threads,
        ),
        test=test,
        correction=correction,
        fusions=() if mode == "hybrid" else fusions,
        progress=progress,
    )


def run_experiment(
    collection: JudgedCollection,
    systems: Sequence[System],
    *,
    measures: Iterable[str] | None = None,
    settings: SearchSettings | None = None,
    test: Test = "permutation",
    correction: Correction = "holm",
    fusions: Sequence[str] = (),
    progress: Progress | None = None,
) -> Report:
    """Evaluate any systems; the first is the baseline.

    `evaluate` calls this for the usual cases; call it directly to compare encoders with different
    options. Parameters and errors are the same.
    """
    settings = settings or SearchSettings()
    parsed = measures_within(measures, settings.k)
    if not systems:
        raise UsageError("nothing to evaluate; name an encoder, an index or a run")
    check_choices(test, correction)
    names = _unique([system.name for system in systems])
    dense = [name for name, system in zip(names, systems, strict=True) if is_dense(system)]
    fused = fused_systems(fusions, names, dense)
    answers = _answers(collection, systems, names, settings, progress)
    by_name = dict(zip(names, answers, strict=True))
    answers += [one.answer([by_name[part] for part in one.parts], settings.k) for one in fused]
    everything: list[System | FusedSystem] = [*systems, *fused]
    names += _unique([one.name for one in fused])
    measured = [
        measure_run(a.run, collection.qrels, parsed, drop_query_id=collection.drop_query_id)
        for a in answers
    ]
    comparisons = compare_with_first(measured, test, correction)
    versus = compare_with_parts(
        everything, dict(zip(names, measured, strict=True)), test, correction
    )
    return Report(
        collection=collection.name,
        split=collection.split,
        n_topics=len(collection.queries),
        n_judgments=collection.n_judgments,
        measures=[str(measure) for measure in parsed],
        parameters={
            "k": settings.k,
            "drop_query_id": collection.drop_query_id,
            "corpus_options": dict(settings.corpus_options),
            "test": test,
            "correction": correction,
            "resamples": N_RESAMPLES,
            "seed": SEED,
        },
        systems=[
            SystemReport(
                name,
                system.kind,
                system.source,
                system.query_encoder if isinstance(system, EncoderSystem) else None,
                dict(system.options) if isinstance(system, EncoderSystem) else {},
                found,
                values,
                {measure: bootstrap_interval(v) for measure, v in values.per_topic.items()},
                *compared,
            )
            for system, name, found, values, *compared in zip(
                everything, names, answers, measured, comparisons, versus, strict=True
            )
        ],
        warnings=collection.warnings,
        environment=environment(),
    )


def environment() -> dict[str, str | int]:
    """Return versions and the number of processor cores this process may use."""
    found: dict[str, str | int] = {"lsr": __version__, "python": platform.python_version()}
    found |= {library: version(library) for library in _LIBRARIES}
    return found | {"cores": cpu_count()}


def _answers(
    collection: JudgedCollection,
    systems: Sequence[System],
    names: Sequence[str],
    settings: SearchSettings,
    progress: Progress | None,
) -> list[Answers]:
    """Run the systems, fast ones first, so that a faulty file is reported early."""
    found: dict[int, Answers] = {}
    for at in sorted(range(len(systems)), key=lambda at: _QUICK_FIRST.index(systems[at].kind)):
        report_stage = _labelled(progress, names[at] if len(systems) > 1 else None)
        found[at] = systems[at].answer(Trial(collection, settings, report_stage))
    return [found[at] for at in range(len(systems))]


def _unique(names: Sequence[str]) -> list[str]:
    counts = {name: names.count(name) for name in names}
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if counts[name] == 1 else f"{name} #{seen[name]}")
    return unique


def _labelled(progress: Progress | None, label: str | None) -> Progress:
    if progress is None:
        return lambda stage, done, total: None
    if label is None:
        return progress
    report: Progress = progress
    return lambda stage, done, total: report(f"{label}: {stage}", done, total)
