"""Readers beside a writer; every answer must be right for its own generation.

The content after commit `n` is known in closed form: documents ``d0`` to ``d{N - 1}``, each last
written in a known commit with weights that follow from it, and one that says `n`; merges make
generations of their own in between. Run as a program it is one reader:
``python -m tests.index.faults.reading FOLDER COUNT SEED``.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from lsr.records import Document, DocumentBatch
from lsr.sparse import SparseBatch
from lsr_index import Index, open_index
from lsr_index.storage.directory import DISK
from lsr_index.storage.manifest import generations
from tests.index.collections import batch_of

N_IDS = 30
STEP = 1 / 255


def version(doc_id: int, n: int) -> int:
    """The commit in which a document was last written."""
    return max(1, n - (n - doc_id) % N_IDS)


def impact(doc_id: int, written: int) -> int:
    return 1 + (doc_id * 37 + written * 11) % 255


def batch_for(n: int) -> DocumentBatch:
    """What commit `n` writes: all documents first, then one; and the mark."""
    ids = range(N_IDS) if n == 1 else [n % N_IDS]
    rows = {f"d{i}": {0: impact(i, n) * STEP, 1: 1.0} for i in ids}
    texts = {doc_id: Document(doc_id, f"text of {doc_id}") for doc_id in rows}
    return batch_of({**rows, "mark": {2: 1.0}}, {**texts, "mark": Document("mark", str(n))})


def expected(n: int) -> list[tuple[int, int]]:
    """Impact and number of all documents, best first; equal ones in the order of writing."""
    written = [(i, version(i, n)) for i in range(N_IDS)]
    order = sorted(written, key=lambda pair: (pair[1], pair[0]))
    return sorted(((impact(i, v), i) for i, v in order), key=lambda pair: -pair[0])


class Reader:
    """Searches, moving on to newer generations now and then."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._rng = random.Random(seed)
        self._index = open_index(path)
        self._query = SparseBatch.from_rows([{0: 1.0}])
        self._wanted: dict[int, list[tuple[int, int]]] = {}
        self.generations: set[int] = set()

    def read(self) -> None:
        """One search, checked."""
        if self._rng.random() < 0.1:
            self._index = self._refreshed()
        k = self._rng.randint(1, 8)
        hits = self._index.search(self._query, k)
        mark = self._index.document("mark")
        assert mark is not None
        n = int(mark.text)
        self.generations.add(hits.generation)
        if n not in self._wanted:
            self._wanted = {n: expected(n)}
        wanted = self._wanted[n][:k]
        assert hits.generation == self._index.generation
        assert hits.ids == [f"d{i}" for _, i in wanted], (n, hits.ids, wanted)
        document = self._index.document(hits.ids[0])
        assert document is not None
        assert document.text == f"text of {hits.ids[0]}"

    def _refreshed(self) -> Index:
        newest = self._index.refresh()
        assert newest.generation >= self._index.generation
        assert newest.generation <= generations(DISK, self._path)[-1]
        return newest


def main(path: Path, count: int, seed: int) -> None:
    """Read `count` times; print how many generations were seen."""
    reader = Reader(path, seed)
    for _ in range(count):
        reader.read()
    sys.stdout.write(f"{len(reader.generations)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
