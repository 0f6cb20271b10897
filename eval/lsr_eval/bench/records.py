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

    Attributes
    ----------
    wall_s, cpu_s : float
        CPU time includes child processes; the documents were in memory before.
    peak_rss_bytes, input_rss_bytes : int
        Largest resident memory while building, and what of it the documents had taken before.
    bytes : int
        Files of the index.
    bytes_per_posting : float
    open_ms, first_query_ms : float
        In a fresh process; the first query includes just-in-time compilation where there is any.
    rss_bytes : int
        Resident memory of the process that answers, after its first query.
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

    Attributes
    ----------
    recall : float
        Share of the exact float answers found.
    cpu, wall : Percentiles
        Microseconds per query; a query's time is its median over the rounds.
    repeats : int
        Calls per timed region.
    queries_per_s : dict of int to float
        By number of threads; empty where it was not measured.
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
    """This package's time over a peer's, at one k; below 1 it is faster.

    Attributes
    ----------
    recall_target : float or None
        For approximate peers: at its fastest setting with at least this recall.
    p50, p99 : float
        Of CPU time per query.
    """

    peer: str
    k: int
    recall_target: float | None
    peer_variant: str
    peer_setting: str
    peer_recall: float
    p50: float
    p99: float

    @classmethod
    def of(cls, mine: Measurement, peer: Measurement, target: float | None) -> Ratio:
        """Divide the times of two measurements at the same k."""
        p50, p99 = mine.cpu.p50 / peer.cpu.p50, mine.cpu.p99 / peer.cpu.p99
        setting = peer.variant, peer.setting, peer.recall
        return cls(peer.engine, mine.k, target, *setting, p50, p99)


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
