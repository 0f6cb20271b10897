"""Interface of an engine in the benchmark.

An engine is built once per variant, in a process of its own, into a folder; another process opens
the folder and answers. Work that is not search (converting a query to the engine's format, mapping
its document names) is done outside the timed call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """Search parameters of an engine, with a display name."""

    name: str
    params: Params = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """Build parameters of an engine, with a display name."""

    name: str
    params: Params = field(default_factory=dict)


class Engine(ABC):
    """One engine, in the process that builds or serves it."""

    @abstractmethod
    def build(self, docs: Any, folder: Path, params: Params) -> None:
        """Index `docs`, (n_docs, n_terms) CSR of float32, into the empty `folder`."""

    @abstractmethod
    def open(self, folder: Path) -> None:
        """Open the index in `folder`."""

    @abstractmethod
    def prepare(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], k: int, params: Params
    ) -> Any:
        """Return the query in the engine's format; not timed."""

    @abstractmethod
    def search(self, query: Any) -> Any:
        """Answer one prepared query; timed."""

    @abstractmethod
    def ordinals(self, result: Any) -> NDArray[np.int64]:
        """Return the rows of the documents found, best first; not timed."""

    def gather(self, queries: Sequence[Any]) -> Any:
        """Return prepared queries as one batch in the engine's format; not timed."""
        return queries

    def search_all(self, batch: Any, threads: int) -> None:
        """Answer a batch with `threads` threads, by the engine's fastest interface; timed.

        By default Python threads share the queries: faster than one if the engine frees the GIL.
        """

        def answer(part: Sequence[Any]) -> None:
            for query in part:
                self.search(query)

        parts = [batch[i::threads] for i in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(answer, parts))


@dataclass(frozen=True)
class EngineSpec:
    """Description of an engine, available without importing it.

    `name` is that of ``--peers``; the `Engine` is `attribute` of `module`, and `distribution` the
    package whose version is reported. All variants and settings are tried, and the best at each k
    is compared; if `approximate`, the fastest of at least a given recall.
    """

    name: str
    module: str
    attribute: str
    distribution: str
    variants: tuple[Variant, ...] = (Variant("default"),)
    settings: tuple[Setting, ...] = (Setting("exact"),)
    approximate: bool = False


def quantised_weights(weights: NDArray[np.float32], levels: int = 255) -> NDArray[np.int64]:
    """Return weights as integers from 1 to `levels`, linear in the largest weight."""
    scale = levels / float(weights.max(initial=1e-9))
    return np.asarray(np.clip(np.rint(weights * scale), 1, levels), np.int64)
