"""Files with wrong numbers and right checksums: the default open must stay inside of its arrays.

Run as a program, in a process of its own: ``python -m tests.index.faults.hostile FOLDER COUNT
SEED [dense]``. Each forgery is opened as `lsr serve` opens an index and asked everything a reader
can ask for. It must be refused by an error that names one of the arrays forged, or answer in good
form. A crash, a hang, another error or an allocation out of proportion ends the process. It prints,
for every array, how many of its forgeries were refused and how many were searched.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, FormatVersionError
from lsr.records import Document
from lsr.sparse import SparseBatch
from lsr_index import Hits, Index, IndexWriter, build_index, open_index
from lsr_index.storage.container import Container, ContainerWriter, FileEntry
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.storage.directory import DISK
from lsr_index.storage.manifest import SegmentEntry, read_manifest
from lsr_index.storage.transaction import WritableFolder
from tests.index.collections import N_TERMS, batch_of, numbered, random_rows
from tests.index.dense.collections import DIMENSION, clustered

MAX_SECONDS = 10
MAX_EXTRA_BYTES = 2 << 30
N_DOCS = 300
RANGE_SIZE = 64
VECTORS = clustered(np.random.default_rng(5), N_DOCS)
LAYOUTS = ("ranges", "reordered", "one range")


def make(path: Path, layout: str, dense: bool) -> None:
    """Build the index that is forged: several ranges (the last one partly empty), or one."""
    rows = random_rows(1, numbered(N_DOCS), nnz=20)  # terms common enough for lists of a filter
    documents = {
        d: Document(d, f"text {d}", "", {"n": i, "tag": "ab"[i % 2]}) for i, d in enumerate(rows)
    }
    build_index(
        path, [batch_of(rows, documents)._replace(dense=VECTORS if dense else None)],
        n_terms=N_TERMS, block_size=16, range_size=1024 if layout == "one range" else RANGE_SIZE,
        dense_fraction=0.26, reorder=layout == "reordered",
        dense=DenseSpec(DIMENSION, flat_below=0, n_lists=4) if dense else None,
    ).close()  # fmt: skip
    with IndexWriter(path) as writer:
        writer.delete(["d3"])
        writer.commit()


class Forger:
    """Rewrites the segment of an index, or its deletes, with every checksum and reference right."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = read_manifest(DISK, path, 2)
        self.segment = self.manifest.segments[0]
        assert self.segment.deletes is not None
        self.files = {
            "segment": Container(DISK, path, self.segment.file),
            "deletes": Container(DISK, path, self.segment.deletes),
        }

    def forge(self, target: Path, rng: random.Random, turn: int) -> list[str]:
        """Write an index with one to four forgeries to `target`; returns what was forged.

        The first turns forge one array of the segment each, so that none is left to chance.
        """
        n_arrays = len(self.files["segment"].entries)
        kind = "segment" if turn < n_arrays else rng.choice(["segment"] * 19 + ["deletes"])
        arrays, params = self._content(kind)
        forged: set[str] = set()
        for _ in range(1 if turn < n_arrays else rng.choice([1, 1, 1, 2, 4])):
            if turn >= n_arrays and rng.random() < 0.05:
                _mutate_params(params, rng)
                forged.add("params")
                continue
            name = sorted(arrays)[turn] if turn < n_arrays else rng.choice(sorted(arrays))
            changed = _mutated(arrays[name], rng)
            if changed.shape != arrays[name].shape or not np.array_equal(
                changed.view(np.uint8), arrays[name].view(np.uint8)
            ):
                arrays[name] = changed
                forged.add(name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.path, target)
        writable, _ = WritableFolder.open(target, DISK)
        try:
            self._publish(writable, kind, arrays, params, keep=rng.random() < 0.5)
        finally:
            writable.close()
        return sorted(forged)

    def _content(self, kind: str) -> tuple[dict[str, NDArray[Any]], Any]:
        file = self.files[kind]
        arrays = {name: file.array(name).copy() for name in file.entries}
        return arrays, json.loads(json.dumps(file.params))

    def _publish(
        self,
        writable: WritableFolder,
        kind: str,
        arrays: dict[str, NDArray[Any]],
        params: Any,
        keep: bool,
    ) -> None:
        """Publish a forged file; deletes of a forged segment (if kept) are made to belong to it."""
        entry = self.segment
        if kind == "deletes":
            entry = replace(entry, deletes=_write(writable, kind, arrays, params))
        else:
            file = _write(writable, kind, arrays, params)
            entry = SegmentEntry(file, entry.n_docs)
            if keep:
                bits, its_params = self._content("deletes")
                its_params["segment"] = file.uuid
                deletes = _write(writable, "deletes", bits, its_params)
                entry = replace(self.segment, file=file, deletes=deletes)
        writable.publish(replace(self.manifest, generation=3, parent=2, segments=(entry,)))


def _write(
    writable: WritableFolder, kind: str, arrays: dict[str, NDArray[Any]], params: Any
) -> FileEntry:
    def fill(container: ContainerWriter) -> Any:
        for name, array in arrays.items():
            container.add(name, array)
        return params

    return writable.write_container(kind, fill)


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


def use(path: Path) -> None:
    """Ask for everything a reader can ask for."""
    with open_index(path) as index:
        _search(index)
        for ordinal in range(0, N_DOCS, 7):
            index.vector(ordinal)
        for number in range(N_DOCS):
            index.find(f"d{number}")
        index.select({"n": {"$lt": 20}})
        if index.dense is not None:
            _search_dense(index)
        for segment in index.segments:
            for _ in segment.chunks():
                pass


def _search(index: Index) -> None:
    rng = random.Random(1)
    queries = SparseBatch.from_rows(
        [{rng.randrange(N_TERMS): rng.uniform(0.1, 2) for _ in range(6)} for _ in range(3)]
    )
    wide = SparseBatch.from_rows([dict.fromkeys(range(200), 1.0)])
    few = {"n": {"$lt": 20}, "tag": "a"}
    for k in (1, 10, 300):
        for hits in index.search_batch(queries, k):
            _expect_good_form(index, hits)
        for filter in (None, few, few, few):  # from the third time on through lists of its own
            _expect_good_form(index, index.search(wide, k, filter=filter))
            _expect_good_form(index, index.search(queries.rows(0, 1), k, filter=filter))
    for hits in index.search_batch(queries, 10):
        index.documents(hits.ordinals)
        for ordinal in hits.ordinals[:2].tolist():
            index.explain(queries.rows(0, 1), ordinal)


def _search_dense(index: Index) -> None:
    dense = index.require_dense()
    for query in VECTORS[:3]:
        for probes in (1, 3, 10):
            _expect_good_form(index, dense.search(query, 10, probes=probes))
        _expect_good_form(index, dense.search(query, 300, filter={"n": {"$lt": 20}}))
        dense.scores(query, list(range(N_DOCS)))
    dense.vectors(list(range(N_DOCS)))


def _expect_good_form(index: Index, hits: Hits) -> None:
    """Documents of the index, best first, each with an id."""
    assert ((hits.ordinals >= 0) & (hits.ordinals < N_DOCS)).all(), hits.ordinals
    assert not (np.diff(hits.scores) > 0).any(), hits.scores  # a forged vector may score NaN
    assert len(hits.ids) == len(hits)


def _named(error: str, forged: list[str]) -> bool:
    """Whether an error names what was forged: ``docnos/order``, or ``offsets`` of the postings."""
    if "params" in forged:
        return True
    return any(
        name in error or (name.startswith("postings/") and name.removeprefix("postings/") in error)
        for name in forged
    )


def main(folder: Path, count: int, seed: int, dense: bool) -> None:
    """Forge and use `count` files; see the module."""
    forgers = []
    for number, layout in enumerate(LAYOUTS):
        path = folder / f"{number}.index"
        make(path, layout, dense)
        use(path)
        forgers.append(Forger(path))
    rng = random.Random(seed)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (pages + MAX_EXTRA_BYTES, pages + MAX_EXTRA_BYTES))
    outcomes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    n_forged, n_tried = 0, 0
    while n_forged < count:
        state = rng.getstate()
        target = folder / "forged.index"
        turn, which = divmod(n_tried, len(forgers))
        n_tried += 1  # an empty array cannot be forged
        forged = forgers[which].forge(target, rng, turn)
        if not forged:
            continue
        n_forged += 1
        signal.alarm(MAX_SECONDS)
        # Told before it is tried: a crash leaves no time to.
        sys.stderr.write(f"{n_forged} {forged}\n")
        refusal = None
        try:
            use(target)
        except (CorruptIndexError, FormatVersionError) as error:
            refusal = str(error)
        except BaseException:
            digest = hashlib.sha256(repr(state).encode()).hexdigest()[:8]
            sys.stderr.write(f"file {n_forged} of seed {seed} ({digest}): {forged}\n")
            raise
        signal.alarm(0)
        assert refusal is None or _named(refusal, forged), f"{forged}: {refusal}"
        if len(forged) == 1:
            outcomes[forged[0]][refusal is None] += 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - used
    sys.stdout.write(json.dumps({"outcomes": outcomes, "grown": grown}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] == ["dense"])
