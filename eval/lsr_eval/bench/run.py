"""Benchmark run: build all engines, choose their settings, measure in rounds, compare.

Indexes and trials of peers are cached in a folder for later runs: peers do not change when this
package does. An entry is valid for the same vectors, version of the peer, settings and values of k.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from lsr.errors import LsrError, UsageError
from lsr.files import write_bytes
from lsr.machine import cpu_ids
from lsr.progress import Progress
from lsr_eval.bench.client import EngineFailureError
from lsr_eval.bench.engines import OURS, engine_specs
from lsr_eval.bench.engines.base import EngineSpec, Variant
from lsr_eval.bench.exact import TIE_TOLERANCE, ExactScores
from lsr_eval.bench.machine import (
    CLOCKS_PER_CALL,
    clock_cost_ns,
    machine_facts,
    package_version,
)
from lsr_eval.bench.records import Benchmark, BuildRecord, Measurement, as_json
from lsr_eval.bench.rounds import THROUGHPUT_PASS_S, THROUGHPUT_PASSES, add_throughput, run_rounds
from lsr_eval.bench.trials import (
    RECALL_TARGETS,
    WARM_UP,
    Course,
    Entry,
    build_variant,
    choose_operating_points,
    ratios_against_peers,
    try_settings,
)
from lsr_eval.bench.workload import Workload
from lsr_eval.measures.latency import Percentiles

MARKER = "lsr-bench.json"
KNOWN = "known.json"


@dataclass(frozen=True)
class Options:
    """Options of a benchmark run.

    `depths` are the values of k, `peers` names of `lsr_eval.bench.engines.PEERS`; this package's
    own index always takes part. Settings are tried on about `trial_queries` queries. `folder`
    (default: a temporary one) keeps indexes, the cache of peers and the engines' logs. With
    `throughput`, several threads are measured too.
    """

    depths: list[int]
    peers: list[str]
    rounds: int = 3
    trial_queries: int = 300
    folder: Path | None = None
    throughput: bool = True


def run_benchmark(workload: Workload, options: Options, progress: Progress) -> Benchmark:
    """Compare this package's index with peers on one workload.

    An engine that cannot be imported, built or opened is left out, with its reason in ``skipped``.
    Raises `UsageError` for an unknown peer or a k below 1, `DataError` for an unreadable file.
    """
    if not options.depths or min(options.depths) < 1:
        raise UsageError("every k must be at least 1")
    specs = engine_specs(list(dict.fromkeys([OURS, *options.peers])))
    progress("exact scores", 0, None)
    docs = workload.load_docs()
    queries = workload.load_queries(docs.shape[1])
    exact = ExactScores(docs, queries, options.depths)
    result = Benchmark(
        workload={**asdict(workload), **_shape(docs, queries)},
        method=_method(options),
        machine=machine_facts(),
    )
    with ExitStack() as stack:
        folder = options.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lsr-bench-")))
        claim_folder(folder, workload)
        course = Course(
            workload,
            docs.shape[1],
            options.depths,
            folder,
            n_postings=int(docs.nnz),
            trial_every=max(1, queries.shape[0] // options.trial_queries),
        )
        _measure(course, specs, options, exact, result, progress)
    return result


def _measure(
    course: Course,
    specs: list[EngineSpec],
    options: Options,
    exact: ExactScores,
    result: Benchmark,
    progress: Progress,
) -> None:
    entries: list[Entry] = []
    for spec in specs:
        entries += _enter(course, spec, exact, result, progress)
    entries, measured = run_rounds(course, entries, exact, options.rounds, progress, result.skipped)
    if options.throughput:
        measured = add_throughput(course, entries, measured, progress, result.skipped)
    result.measurements = measured
    result.ratios = ratios_against_peers(measured, specs)


def _enter(
    course: Course, spec: EngineSpec, exact: ExactScores, result: Benchmark, progress: Progress
) -> list[Entry]:
    """Build and try all variants of an engine; return its entries in the rounds."""
    trials: list[Measurement] = []
    for number, variant in enumerate(spec.variants):
        progress(f"{spec.name} {variant.name}", number, len(spec.variants))
        try:
            record, tried = _known_or_new(course, spec, variant, exact)
        except EngineFailureError as error:
            result.skipped[f"{spec.name} {variant.name}"] = str(error)
            continue
        result.builds.append(record)
        trials += tried
    if not trials and spec.name == OURS:
        raise LsrError(f"this package's own index failed: {'; '.join(result.skipped.values())}")
    result.trials += trials
    if spec.name == OURS:
        # Our own variants all take part: the default is compared, the others are shown.
        own = [[t for t in trials if t.variant == variant.name] for variant in spec.variants]
        return [e for tried in own for e in choose_operating_points(spec, tried, course.depths)]
    return choose_operating_points(spec, trials, course.depths)


def _known_or_new(
    course: Course, spec: EngineSpec, variant: Variant, exact: ExactScores
) -> tuple[BuildRecord, list[Measurement]]:
    folder = course.index_folder(spec, variant)
    key = {
        "version": package_version(spec.distribution),
        "variant": variant,
        "settings": spec.settings,
        "depths": course.depths,
        "trial_every": course.trial_every,
    }
    known = _cached_peer(folder, key)
    if known is not None:
        return known
    record = build_variant(course, spec, variant)
    record, trials = try_settings(course, spec, record, variant, exact)
    if spec.name != OURS:
        known_file = as_json({"key": key, "build": record, "trials": trials})
        write_bytes(folder / KNOWN, known_file)
    return record, trials


def _shape(docs: Any, queries: Any) -> dict[str, Any]:
    return {
        "n_docs": docs.shape[0],
        "n_terms": docs.shape[1],
        "n_postings": int(docs.nnz),
        "n_queries": queries.shape[0],
        "terms_per_doc": docs.nnz / max(docs.shape[0], 1),
        "terms_per_query": queries.nnz / max(queries.shape[0], 1),
    }


def _method(options: Options) -> dict[str, Any]:
    return {
        "depths": options.depths,
        "rounds": options.rounds,
        "warm_up_queries": WARM_UP,
        "clock": "CPU time of the process (CLOCK_PROCESS_CPUTIME_ID) and wall time (monotonic)",
        "clock_cost_ns": clock_cost_ns(),
        "clocks_per_call": CLOCKS_PER_CALL,
        "per_query": "median over the rounds",
        "pinned_to_core": cpu_ids()[-1],
        "threads": 1,
        "throughput_passes_at_most": THROUGHPUT_PASSES if options.throughput else 0,
        "throughput_pass_s": THROUGHPUT_PASS_S,
        "recall": "share of the k best by exact float64 score, ties counted as right",
        "recall_tie_tolerance": TIE_TOLERANCE,
        "recall_targets": list(RECALL_TARGETS),
        "trial_queries": options.trial_queries,
    }


def claim_folder(folder: Path, workload: Workload) -> None:
    """Create the cache folder of a workload; raise `UsageError` if it holds something else."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / MARKER
    stats = [Path(path).stat() for path in (workload.docs, workload.queries)]
    files = [[stat.st_size, stat.st_mtime_ns] for stat in stats]
    if marker.is_file():
        known = orjson.loads(marker.read_bytes())
        if known["workload"] != asdict(workload):
            raise UsageError(f"{folder}: holds the indexes of another workload; name a new folder")
        if known["files"] != files:
            raise UsageError(f"{folder}: the vectors have changed since; name a new folder")
        return
    if any(folder.iterdir()):
        raise UsageError(f"{folder}: not empty; name an empty or a new folder for the indexes")
    write_bytes(marker, as_json({"workload": asdict(workload), "files": files}))


def _cached_peer(folder: Path, key: dict[str, Any]) -> tuple[BuildRecord, list[Measurement]] | None:
    """Return the cached measurements of the index in `folder`; None, and no folder, without them.

    `key` is all that they depend on, as JSON values.
    """
    if (folder / KNOWN).is_file():
        known = orjson.loads((folder / KNOWN).read_bytes())
        if known["key"] == orjson.loads(orjson.dumps(key)):
            return BuildRecord(**known["build"]), [_measurement(one) for one in known["trials"]]
    if folder.exists():
        shutil.rmtree(folder)
    return None


def _measurement(figures: dict[str, Any]) -> Measurement:
    times = {name: Percentiles(**figures.pop(name)) for name in ("cpu", "wall")}
    return Measurement(**{**figures, **times, "queries_per_s": {}})
