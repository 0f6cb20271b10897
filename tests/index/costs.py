"""What changing an index costs, measured: ``python -m tests.index.costs VECTORS.npz QUERIES.npz``.

Prints one line of JSON per measurement. Documents are the rows of a SciPy CSR matrix, repeated up
to ``--docs``. Search times are CPU microseconds of one thread; the merge runs beside the searches
in the same process, as it does in a server.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from lsr.records import DocumentBatch
from lsr.sparse import SparseBatch
from lsr_index import Index, IndexWriter, build_index, open_index
from lsr_index.storage.directory import Files

TEXT = "Some text of a document, as long as a short passage is. " * 8
CHUNK = 4096


class TimedFiles(Files):
    """The disk, and the seconds spent waiting for it to sync."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sync(self, handle: int) -> None:
        started = time.perf_counter()
        super().sync(handle)
        self.seconds += time.perf_counter() - started

    def sync_directory(self, path: Path) -> None:
        started = time.perf_counter()
        super().sync_directory(path)
        self.seconds += time.perf_counter() - started


def load(path: Path) -> SparseBatch:
    matrix = sp.load_npz(path)
    weights = matrix.data.astype(np.float32)
    return SparseBatch.from_arrays(matrix.indptr, matrix.indices, weights)


def batches(vectors: SparseBatch, first: int, last: int) -> Iterator[DocumentBatch]:
    """Documents `first` to `last`, the rows of `vectors` over and over."""
    while first < last:
        row = first % vectors.n_rows
        n = min(last - first, vectors.n_rows - row, CHUNK)
        ids = [f"doc{i}" for i in range(first, first + n)]
        metadata = [{"r": i % 100} for i in range(first, first + n)]
        yield DocumentBatch(ids, vectors.rows(row, row + n), [TEXT] * n, ["Title"] * n, metadata)
        first += n


def percentiles(index: Index, queries: SparseBatch, k: int, **modes: Any) -> dict[str, float]:
    times = []
    for i in range(min(1000, queries.n_rows)):
        query = queries.rows(i, i + 1)
        started = time.thread_time()
        index.search(query, k, **modes)
        times.append(time.thread_time() - started)
    found = np.percentile(np.array(times[20:]) * 1e6, [50, 99])
    return {"p50_us": round(float(found[0]), 1), "p99_us": round(float(found[1]), 1)}


def report(name: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"measured": name, **values}) + "\n")
    sys.stdout.flush()


def measure_adding(folder: Path, vectors: SparseBatch, peak: float, n_terms: int) -> None:
    path = folder / "add.index"
    build_index(path, list(batches(vectors, 0, 20_000)), n_terms=n_terms, max_weight=peak).close()
    files = TimedFiles()
    with IndexWriter(path, files=files) as writer:
        for start in range(20_000, 26_000, 1000):
            (batch,) = batches(vectors, start, start + 1000)
            files.seconds = 0.0
            started = time.perf_counter()
            writer.add(batch)
            writer.commit()
            took = time.perf_counter() - started
            report(
                "add 1000 documents and commit",
                total_ms=round(took * 1e3, 1),
                without_sync_ms=round((took - files.seconds) * 1e3, 1),
            )


def measure_segments(
    folder: Path, vectors: SparseBatch, queries: SparseBatch, n: int, peak: float, n_terms: int
) -> None:
    path = folder / "segments.index"
    parts = [(i * n // 8, (i + 1) * n // 8) for i in range(8)]
    build_index(path, lambda: batches(vectors, *parts[0]), n_terms=n_terms, max_weight=peak).close()
    with IndexWriter(path) as writer:
        for part in parts[1:]:
            for batch in batches(vectors, *part):
                writer.add(batch)
            writer.commit()
        writer.delete([f"doc{i}" for i in range(0, n, 10)])
        writer.commit()
        index = open_index(path)
        for k in (10, 100, 1000):
            report("8 segments, 10 % deleted", k=k, **percentiles(index, queries, k))
        writer.compact()
    index = open_index(path)
    for k in (10, 100, 1000):
        report("compacted", k=k, **percentiles(index, queries, k))
        for share in (1, 10, 50):
            condition = {"r": {"$lt": 2 * share, "$gte": share}}
            found = percentiles(index, queries, k, filter=condition)
            report(f"compacted, a filter that {share} % pass", k=k, **found)


def measure_merge(
    folder: Path, vectors: SparseBatch, queries: SparseBatch, n: int, peak: float, n_terms: int
) -> None:
    path = folder / "merge.index"
    parts = [(i * n // 8, (i + 1) * n // 8) for i in range(8)]
    started = time.perf_counter()
    build_index(path, lambda: batches(vectors, *parts[0]), n_terms=n_terms, max_weight=peak).close()
    with IndexWriter(path) as writer:
        for part in parts[1:]:
            for batch in batches(vectors, *part):
                writer.add(batch)
            writer.commit()
        report("8 segments written", n_docs=n, seconds=round(time.perf_counter() - started, 1))
        started = time.perf_counter()
        index = open_index(path)
        report("open", n_docs=n, ms=round((time.perf_counter() - started) * 1e3, 2))
        report("search before the merge", **percentiles(index, queries, 10))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        thread = threading.Thread(target=writer.compact)
        started = time.perf_counter()
        thread.start()
        during = []
        while thread.is_alive():
            during.append(percentiles(index, queries, 10))
        took = time.perf_counter() - started
        report(
            "merge",
            n_docs=n,
            seconds=round(took, 1),
            peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
            peak_rss_before_mb=before >> 10,
            p50_us=float(np.median([d["p50_us"] for d in during])),
            p99_us=float(np.median([d["p99_us"] for d in during])),
        )
    started = time.perf_counter()
    open_index(path).search(queries.rows(0, 1), 10)
    report("open and search, merged", ms=round((time.perf_counter() - started) * 1e3, 2))


def main() -> None:
    """Measure; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--docs", type=int, default=74_000)
    parser.add_argument("--merge-docs", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    vectors, queries = load(options.vectors), load(options.queries)
    peak, n_terms = float(vectors.values.max()), int(vectors.indices.max()) + 1
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        if options.docs:
            measure_adding(folder, vectors, peak, n_terms)
            measure_segments(folder, vectors, queries, options.docs, peak, n_terms)
        if options.merge_docs:
            measure_merge(folder, vectors, queries, options.merge_docs, peak, n_terms)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
