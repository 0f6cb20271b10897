"""Result records of an experiment, rendered by `lsr_eval.report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lsr.trec.measures import Measured
from lsr.trec.runs import Run
from lsr_eval.measures.latency import Latency
from lsr_eval.measures.significance import Comparison, Interval
from lsr_eval.measures.sparsity import Sparsity

SystemKind = Literal["encoder", "index", "run", "fusion"]


@dataclass(frozen=True, slots=True)
class Indexing:
    """Cost of building or opening an index.

    Attributes
    ----------
    index_bytes : int
        All files of the index, stored texts included.
    reused : bool
        An existing index was reused: nothing was encoded, the times are None.
    encode_seconds, build_seconds : float or None
        Reading and encoding the corpus; building the index of the vectors. None also after a
        resumed job, whose first part was not timed.
    """

    n_docs: int
    index_bytes: int
    reused: bool
    encode_seconds: float | None = None
    build_seconds: float | None = None

    @property
    def encode_docs_per_second(self) -> float | None:
        """Documents per second of reading and encoding."""
        return self.n_docs / self.encode_seconds if self.encode_seconds else None


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of a system, before they are measured.

    Attributes
    ----------
    rank_safe : bool or None
        Whether every ranking is what an exhaustive scan gives; None for a run file.
    fingerprint : str or None
        Digest of the encoder.
    sparsity, latency, indexing
        None for a run file.
    least_score : float or None
        The least score there can be, where it is known.
    """

    run: Run
    rank_safe: bool | None = None
    fingerprint: str | None = None
    sparsity: Sparsity | None = None
    latency: Latency | None = None
    indexing: Indexing | None = None
    warnings: Sequence[str] = ()
    least_score: float | None = None


@dataclass(frozen=True, slots=True)
class SystemReport:
    """One system of an experiment.

    Attributes
    ----------
    name : str
        Unique within the report.
    source : str
        The encoder, index or run file as it was named.
    query_encoder : str or None
        As it was named; None for the encoder's own.
    options : mapping
        Further options of the encoder.
    measured : Measured
        Without hits equal to the query id where the experiment drops them.
    intervals : mapping of measure name to Interval
        Bootstrap confidence intervals of the means.
    comparisons : mapping of measure name to Comparison
        Against the first system; empty for the first itself.
    versus_parts : mapping of name to mapping of measure name to Comparison
        A fusion against each system it was made of, corrected for their number.
    """

    name: str
    kind: SystemKind
    source: str
    query_encoder: str | None
    options: Mapping[str, object]
    answers: Answers
    measured: Measured
    intervals: Mapping[str, Interval]
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    versus_parts: Mapping[str, Mapping[str, Comparison]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """Results of an experiment, and the settings needed to repeat it.

    Attributes
    ----------
    parameters : mapping
        JSON values: ``k``, ``drop_query_id``, options of the corpus, the significance test.
    systems : sequence of SystemReport
        The first is the baseline.
    environment : mapping of str
        Versions and the number of processor cores.
    """

    collection: str
    split: str
    n_topics: int
    n_judgments: int
    measures: Sequence[str]
    parameters: Mapping[str, object]
    systems: Sequence[SystemReport]
    warnings: Sequence[str]
    environment: Mapping[str, str | int]

    @property
    def baseline(self) -> SystemReport:
        """The first system."""
        return self.systems[0]
