"""Records of a benchmark, with a stable JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from lsr_eval.measures.latency import Percentiles

SCHEMA_VERSION = 1
"""Schema version: raised with every change that a reader of the JSON would notice."""


@dataclass(frozen=True)
class BuildRecord:
    """Cost of building and opening one variant of an engine.

    CPU time includes child processes; the documents were in memory before, and `input_rss_bytes` of
    the peak are theirs. `bytes` is the size of the index on disk. `open_ms` and `first_query_ms`,
    with just-in-time compilation where there is any, are of a fresh process, and `rss_bytes` is its
    resident memory after the first query.
    """

    engine: str
    variant: str
    version: str | None
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    input_rss_bytes: int
    bytes: int
    bytes_per_posting: float
    open_ms: float = float("nan")
    first_query_ms: float = float("nan")
    rss_bytes: int = 0


@dataclass(frozen=True)
class Measurement:
    """One engine, variant, setting and k.

    `recall` is the share of the exact float answers found, `cpu` and `wall` are microseconds per
    query (of each query, the median over the rounds), `repeats` calls make up a timed region.
    `queries_per_s` is by number of threads, and empty where it was not measured.
    """

    engine: str
    variant: str
    setting: str
    params: Mapping[str, Any]
    k: int
    recall: float
    cpu: Percentiles
    wall: Percentiles
    repeats: int = 1
    queries_per_s: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """This package's CPU time per query over a peer's, at one k; below 1 it is faster.

    An approximate peer is compared at its fastest setting with at least `recall_target`.
    """

    peer: str
    k: int
    recall_target: float | None
    peer_variant: str
    peer_setting: str
    peer_recall: float
    p50: float
    p99: float


@dataclass
class Benchmark:
    """All results of one run."""

    workload: dict[str, Any]
    method: dict[str, Any]
    machine: dict[str, Any]
    builds: list[BuildRecord] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    trials: list[Measurement] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def as_json(figures: Mapping[str, Any]) -> bytes:
    """Return figures, dataclasses among them, as JSON with the number `SCHEMA_VERSION`."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps({"schema": SCHEMA_VERSION, **figures}, option=options)
