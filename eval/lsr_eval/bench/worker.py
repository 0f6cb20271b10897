"""Engine worker process: ``python -m lsr_eval.bench.worker FD``.

Answers each request on a socket with one dictionary of figures. The answer to a request that raised
is the text of the exception, so that other engines are still measured.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.sparse import SparseBatch
from lsr_eval.bench.engines import SPECS, load_engine
from lsr_eval.bench.engines.base import Engine
from lsr_eval.bench.machine import (
    cpu_seconds,
    folder_bytes,
    memory_bytes,
    peak_memory_bytes,
    pin_process,
    reset_peak_memory,
    time_calls,
)
from lsr_eval.bench.workload import Workload
from lsr_eval.synthetic import SyntheticCollection

Figures = dict[str, Any]


class Worker:
    """Carries out requests for one engine."""

    def __init__(self, engine: str, workload: Workload) -> None:
        self._engine: Engine = load_engine(SPECS[engine])
        self._workload = workload
        self._queries: list[tuple[NDArray[np.int32], NDArray[np.float32]]] = []

    def build(self, request: Figures) -> Figures:
        """Build one variant and measure it; the documents are read before the measurement.

        With ``stream``, they are synthetic and made while the engine takes them.
        """
        folder = Path(request["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        metered = _Metered(self._workload.stream_docs()) if request.get("stream") else None
        docs: Any = metered or self._workload.load_docs()
        reset_peak_memory()
        before = memory_bytes()
        wall, cpu = time.perf_counter(), cpu_seconds()
        self._engine.build(docs, folder, request["params"])
        return {
            "wall_s": time.perf_counter() - wall,
            "cpu_s": cpu_seconds() - cpu,
            "peak_rss_bytes": peak_memory_bytes(),
            "input_rss_bytes": before,
            "bytes": folder_bytes(folder),
            **({} if metered is None else metered.figures()),
        }

    def open(self, request: Figures) -> Figures:
        """Open, answer a first query, and report what both cost in this fresh process."""
        pin_process(request["cores"])
        queries = self._workload.load_queries(request["n_terms"])
        self._queries = [
            (queries.indices[start:end].astype(np.int32), queries.data[start:end])
            for start, end in zip(queries.indptr, queries.indptr[1:], strict=False)
        ]
        before = memory_bytes()
        start = time.perf_counter()
        self._engine.open(Path(request["folder"]))
        opened = time.perf_counter()
        first = self._engine.prepare(*self._queries[0], request["k"], request["params"])
        prepared = time.perf_counter()
        self._engine.search(first)
        answered = time.perf_counter()
        return {
            "open_ms": (opened - start) * 1e3,
            "first_query_ms": (answered - prepared) * 1e3,
            "rss_bytes": memory_bytes(),
            "rss_before_bytes": before,
        }

    def round(self, request: Figures) -> Figures:
        """Answer the queries once, one after the other, timing each."""
        prepared = self._prepared(request)
        timings = time_calls(self._engine.search, prepared, request["warm_up"])
        ordinals = None
        if request.get("want_ordinals"):
            ordinals = self._padded(timings.results, request["k"])
        return {
            "repeats": timings.repeats,
            "rss_bytes": memory_bytes(),
            "cpu_ns": timings.cpu_ns,
            "wall_ns": timings.wall_ns,
            "ordinals": ordinals,
        }

    def throughput(self, request: Figures) -> Figures:
        """Answer all queries as one batch, ``repeats`` times over, with some threads."""
        pin_process(request["cores"])
        prepared = self._prepared(request)
        self._engine.search_all(
            self._engine.gather(prepared[: request["warm_up"]]), request["threads"]
        )
        batch = self._engine.gather(prepared * request["repeats"])
        n_queries = len(prepared) * request["repeats"]
        start = time.perf_counter()
        self._engine.search_all(batch, request["threads"])
        seconds = time.perf_counter() - start
        return {"queries_per_s": n_queries / seconds, "seconds": seconds}

    def _prepared(self, request: Figures) -> list[Any]:
        chosen = self._queries[:: request.get("every", 1)]
        return [
            self._engine.prepare(terms, weights, request["k"], request["params"])
            for terms, weights in chosen
        ]

    def _padded(self, results: list[Any], k: int) -> NDArray[np.int64]:
        ids = np.full((len(results), k), -1, np.int64)
        for row, result in zip(ids, results, strict=True):
            found = self._engine.ordinals(result)[:k]
            row[: len(found)] = found
        return ids


class _Metered:
    """Synthetic documents, counted, with the time that generating them takes."""

    def __init__(self, docs: SyntheticCollection) -> None:
        self._docs = docs
        self._making_s = 0.0
        self._n_postings = 0
        self.n_terms = docs.n_terms

    def __iter__(self) -> Iterator[SparseBatch]:
        self._n_postings = 0
        for number in range(self._docs.n_blocks):
            start = time.thread_time()
            block = self._docs.block(number)
            self._making_s += time.thread_time() - start
            self._n_postings += block.nnz
            yield block

    def figures(self) -> Figures:
        return {"making_s": self._making_s, "n_postings": self._n_postings}


def serve(channel: Connection) -> None:
    """Answer requests until the channel is closed."""
    worker: Worker | None = None
    while True:
        try:
            request = channel.recv()
        except EOFError:
            return
        reply: Figures = {}
        try:
            if worker is None:
                worker = Worker(request["engine"], request["workload"])
            else:
                reply = getattr(worker, request["do"])(request)
        except BaseException as error:  # a Rust panic derives from BaseException alone
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        channel.send(reply)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
