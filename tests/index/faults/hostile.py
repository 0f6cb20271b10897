"""Files with wrong numbers and right checksums, opened with bounds checking on.

Run as a program, in a process of its own: ``python -m tests.index.faults.hostile COUNT SEED
[dense]``. A crash, an access out of bounds, a hang or an allocation out of proportion ends it; it
prints how many files were refused and how many were searched.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import LsrError
from lsr.records import Document
from lsr.sparse import SparseBatch
from lsr_index import IndexWriter, open_index
from lsr_index.storage.container import Container, ContainerWriter, FileEntry
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.storage.manifest import Manifest, SegmentEntry, read_manifest
from lsr_index.storage.transaction import WritableFolder
from tests.index.collections import N_TERMS, batch_of, numbered, random_rows
from tests.index.dense.collections import DIMENSION, clustered
from tests.index.faults.disk import SimulatedDisk

PATH = Path("/x.index")
MAX_SECONDS = 5
MAX_EXTRA_BYTES = 2 << 30
VECTORS = clustered(np.random.default_rng(5), 40)


def make(dense: bool = False) -> SimulatedDisk:
    from lsr_index import build_index

    disk = SimulatedDisk()
    rows = random_rows(1, numbered(40))
    documents = {
        d: Document(d, f"text {d}", "", {"n": i, "tag": "ab"[i % 2]}) for i, d in enumerate(rows)
    }
    build_index(
        PATH, [batch_of(rows, documents)._replace(dense=VECTORS if dense else None)],
        files=disk, n_terms=N_TERMS, block_size=16, range_size=64, dense_fraction=0.1, reorder=True,
        dense=DenseSpec(DIMENSION, flat_below=0, n_lists=4) if dense else None,
    ).close()  # fmt: skip
    with IndexWriter(PATH, files=disk) as writer:
        writer.delete(["d3"])
        writer.commit()
    return disk


class Forger:
    """Rewrites one container of the index with chosen arrays and params, every checksum right."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.original = disk
        self.manifest = read_manifest(disk, PATH, 2)

    def forge(self, kind: str, rng: random.Random) -> SimulatedDisk:
        segment = self.manifest.segments[0]
        entry = segment.file if kind == "segment" else segment.deletes
        assert entry is not None
        container = Container(self.original, PATH, entry)
        arrays = {name: container.array(name).copy() for name in container.entries}
        params = json.loads(json.dumps(container.params))
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            if rng.random() < 0.1:
                _mutate_params(params, rng)
            else:
                dense = [name for name in sorted(arrays) if name.startswith("dense/")]
                of_dense = dense and rng.random() < 0.7
                name = rng.choice(dense if of_dense else sorted(arrays))
                arrays[name] = _mutated(arrays[name], rng)
        return self._written(kind, arrays, params, segment)

    def _written(
        self, kind: str, arrays: dict[str, NDArray[Any]], params: Any, segment: SegmentEntry
    ) -> SimulatedDisk:
        disk = self.original.after_kill()
        writable, _ = WritableFolder.open(PATH, disk)

        def fill(container: ContainerWriter) -> Any:
            for name, array in arrays.items():
                container.add(name, array)
            return params

        entry = writable.write_container(kind, fill)
        manifest = self._manifest(kind, entry, segment)
        writable.publish(manifest)
        writable.close()
        return disk

    def _manifest(self, kind: str, entry: FileEntry, segment: SegmentEntry) -> Manifest:
        changed = {"file": entry} if kind == "segment" else {"deletes": entry}
        return replace(
            self.manifest, generation=3, parent=2, segments=(replace(segment, **changed),)
        )


def _mutated(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    """One array with some wrong numbers, or of another length."""
    choice = rng.randrange(8)
    if choice == 0:
        return array[: rng.randrange(len(array) + 1)]
    if choice == 1:
        return np.concatenate([array, array[: rng.randrange(len(array) + 1)]])
    changed = array.copy()
    if changed.size == 0:
        return changed
    flat = changed.reshape(-1)
    if choice == 2:
        i, j = rng.randrange(flat.size), rng.randrange(flat.size)
        flat[i], flat[j] = flat[j], flat[i]
        return changed
    for _ in range(rng.choice([1, 1, 3, 20])):
        flat[rng.randrange(flat.size)] = _number(flat.dtype, rng)
    return changed


def _number(dtype: np.dtype[Any], rng: random.Random) -> Any:
    if dtype.kind == "f":
        return rng.choice([float("nan"), float("inf"), -1.0, float(np.finfo(dtype).max)])
    info = np.iinfo(dtype)
    near = [info.min, info.max, 0, 1, info.max // 2, *range(2, 70, 7)]
    return rng.choice(
        [*(n for n in near if info.min <= n <= info.max), rng.randint(info.min, info.max)]
    )


def _mutate_params(params: Any, rng: random.Random) -> None:
    postings = params.get("postings")
    target = rng.choice([params, postings]) if isinstance(postings, dict) else params
    if not target:
        return
    key = rng.choice(sorted(target))
    target[key] = rng.choice([None, -1, 0, 1, 2**31, 2**63 - 1, "x", [], {}, 1.5, True, [1, 2]])


def use(disk: SimulatedDisk) -> None:
    """Everything a reader can ask for."""
    index = open_index(PATH, verify="structure", files=disk)
    rng = random.Random(1)
    queries = SparseBatch.from_rows(
        [{rng.randrange(N_TERMS): rng.uniform(0.1, 2) for _ in range(6)} for _ in range(3)]
    )
    for k in (1, 10, 100):
        for hits in index.search_batch(queries, k):
            assert len(hits.ids) == len(hits)
            index.documents(hits.ordinals)
    wide = SparseBatch.from_rows([dict.fromkeys(range(200), 1.0)])
    index.search(wide, 10, filter={"n": {"$lt": 20}, "tag": "a"})
    for ordinal in range(min(40, sum(segment.n_docs for segment in index.segments))):
        index.vector(ordinal)
        index.explain(queries.rows(0, 1), ordinal)
    index.find("d7")
    if index.dense is not None:
        for query in VECTORS[:4]:
            for probes in (1, 3, 10):
                hits = index.dense.search(query, 10, probes=probes)
                assert len(hits.ids) == len(hits)
            index.dense.search(query, 100, filter={"n": {"$lt": 20}})
            index.dense.scores(query, list(range(40)))
        index.dense.vectors(list(range(40)))


def main(count: int, seed: int, dense: bool) -> None:
    """Forge and use `count` files; see the module."""
    use(make(dense))
    rng = random.Random(seed)
    forger = Forger(make(dense))
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (pages + MAX_EXTRA_BYTES, pages + MAX_EXTRA_BYTES))
    refused = searched = 0
    for number in range(count):
        state = rng.getstate()
        disk = forger.forge(rng.choice(["segment"] * 9 + ["deletes"]), rng)
        signal.alarm(MAX_SECONDS)
        try:
            use(disk)
            searched += 1
        except LsrError:
            refused += 1
        except BaseException:
            digest = hashlib.sha256(repr(state).encode()).hexdigest()[:8]
            sys.stderr.write(f"file {number} of seed {seed} ({digest})\n")
            raise
        signal.alarm(0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - used
    sys.stdout.write(json.dumps({"refused": refused, "searched": searched, "grown": grown}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["dense"])
