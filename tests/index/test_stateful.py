"""Random histories of everything a writer can do, against a dict.

LSR_FAULT_SCALE multiplies how many.
"""

import os
import random
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from index import IndexWriter, build_index, open_index
from index.merge import MergePolicy
from index.verify import verify
from lsr.records import Document
from tests.index.collections import batch_of, exhaustive, query_of
from tests.index.faults.disk import SimulatedDisk

SCALE = float(os.environ.get("LSR_FAULT_SCALE", "1"))
PATH = Path("/x.index")
N_TERMS = 6
IDS = st.sampled_from([f"d{i}" for i in range(8)])
ROWS = st.dictionaries(st.integers(0, N_TERMS - 1), st.integers(1, 255), max_size=4)
Model = dict[str, tuple[dict[int, int], int]]
"""Id to impacts and number, in the order of the last writing."""


class Machine(RuleBasedStateMachine):
    """One index, one writer, and what it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        build_index(PATH, [], files=self.disk, n_terms=N_TERMS, max_weight=1.0)
        self.committed: Model = {}
        self.pending: Model = {}
        self.old = (open_index(PATH, files=self.disk), self.committed)
        self.changed = False
        self.open_writer()

    def open_writer(self) -> None:
        policy = MergePolicy(factor=3, floor_docs=2)
        self.writer = IndexWriter(PATH, files=self.disk, policy=policy)
        self.pending = dict(self.committed)
        self.changed = False

    @rule(rows=st.dictionaries(IDS, st.tuples(ROWS, st.integers(0, 9)), min_size=1, max_size=4))
    def add(self, rows: Model) -> None:
        vectors = {d: {t: i / 255 for t, i in row.items()} for d, (row, _) in rows.items()}
        documents = {d: Document(d, f"text {n}", "", {"n": n}) for d, (_, n) in rows.items()}
        self.writer.add(batch_of(vectors, documents))
        for docno, value in rows.items():
            self.pending.pop(docno, None)
            self.pending[docno] = value
        self.changed = True

    @rule(docnos=st.lists(IDS, max_size=3))
    def delete(self, docnos: list[str]) -> None:
        held = {docno for docno in docnos if docno in self.pending}
        assert self.writer.delete(docnos) == len(held)
        for docno in held:
            del self.pending[docno]
        self.changed = self.changed or bool(docnos)

    @rule(low=st.integers(0, 9), high=st.integers(0, 9))
    def delete_where(self, low: int, high: int) -> None:
        gone = [d for d, (_, n) in self.pending.items() if low <= n <= high]
        assert self.writer.delete_where({"n": {"$gte": low, "$lte": high}}) == len(gone)
        for docno in gone:
            del self.pending[docno]
        self.changed = self.changed or bool(gone)

    @rule()
    def commit(self) -> None:
        before = self.writer.generation
        done = self.writer.commit()
        assert done.generation == before + self.changed
        assert done.n_docs == len(self.pending)
        self.committed, self.changed = dict(self.pending), False

    @rule()
    def rollback(self) -> None:
        self.writer.rollback()
        self.pending, self.changed = dict(self.committed), False

    @rule()
    def merge(self) -> None:
        self.writer.merge()

    @rule(reorder=st.booleans())
    def compact(self, reorder: bool) -> None:
        self.writer.compact(reorder=reorder)

    @rule()
    def reopen(self) -> None:
        self.writer.close()
        self.open_writer()

    @rule(seed=st.integers(0, 2**32), power=st.booleans())
    def die(self, seed: int, power: bool) -> None:
        cut = self.disk.after_power_cut(random.Random(seed)) if power else self.disk.after_kill()
        self.disk = cut
        self.open_writer()

    @rule()
    def pin(self) -> None:
        self.old = (open_index(PATH, files=self.disk), self.committed)

    @precondition(lambda self: self.committed)
    @rule(
        query=st.dictionaries(
            st.integers(0, N_TERMS + 2), st.floats(0.125, 3, width=32), min_size=1
        ),
        k=st.integers(1, 9),
        limit=st.none() | st.integers(0, 9),
        pinned=st.booleans(),
    )
    def search(self, query: dict[int, float], k: int, limit: int | None, pinned: bool) -> None:
        index, model = self.old if pinned else (open_index(PATH, files=self.disk), self.committed)
        rows = {
            docno: {t: i / 255 for t, i in row.items()}
            for docno, (row, n) in model.items()
            if limit is None or n < limit
        }
        condition = None if limit is None else {"n": {"$lt": limit}}
        hits = index.search(query_of(query), k, filter=condition)
        scores = dict(exhaustive(rows, query, len(rows)))
        best = sorted(scores.values(), reverse=True)[:k]
        assert hits.rank_safe
        # Scores are integers: a match that rounds to nothing is not found.
        assert len(best) - sum(score < 0.02 for score in best) <= len(hits) <= len(best)
        for docno, score, wanted in zip(hits.ids, hits.scores, best, strict=False):
            assert abs(score - wanted) < 0.01 + 0.01 * wanted
            assert abs(score - scores[docno]) < 0.01 + 0.01 * wanted

    @invariant()
    def holds(self) -> None:
        index = open_index(PATH, files=self.disk)
        documents = index.documents(index.select({}))
        assert [d.id for d in documents] == list(self.committed)
        assert [d.text for d in documents] == [f"text {n}" for _, n in self.committed.values()]
        for docno, (row, _) in self.committed.items():
            doc_id = index.find(docno)
            assert doc_id is not None
            terms, impacts = index.vector(doc_id)
            assert dict(zip(terms.tolist(), impacts.tolist(), strict=True)) == row

    def teardown(self) -> None:
        report = verify(PATH, 2, files=self.disk)
        assert report.ok, report.problems


TestStateful = Machine.TestCase
TestStateful.settings = settings(
    max_examples=max(1, int(500 * SCALE)),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
