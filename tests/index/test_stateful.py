"""Random histories of everything a writer can do, against a dict.

LSR_FAULT_SCALE multiplies how many.
"""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lsr.errors import UsageError
from lsr.records import Document
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.update.merge_policy import MergePolicy
from lsr_index.update.verify import verify
from tests.index.collections import batch_of, exhaustive, query_of
from tests.index.faults.disk import SimulatedDisk
from tests.index.faults.scale import SCALE, time_limit

pytestmark = time_limit

PATH = Path("/x.index")
N_TERMS = 6
IDS = st.sampled_from([f"d{i}" for i in range(8)])
DIMENSION = 2
ROWS = st.dictionaries(st.integers(0, N_TERMS - 1), st.integers(1, 255), max_size=4)
Model = dict[str, tuple[dict[int, int], int]]
"""Id to impacts and number, in the order of the last writing."""


def dense_of(doc_id: str, row: dict[int, int]) -> list[float]:
    """The dense vector of a document; none (zeros) for one without a term."""
    if not row:
        return [0.0] * DIMENSION
    return [int(doc_id[1:]) - 3.5, (sum(row.values()) % 64) / 16]


class Machine(RuleBasedStateMachine):
    """One index, one writer, and what it must hold."""

    dense: DenseSpec | None = None

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        build_index(PATH, [], files=self.disk, n_terms=N_TERMS, max_weight=1.0, dense=self.dense)
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
        batch = batch_of(vectors, documents)
        if self.dense is not None:
            rows_of = [dense_of(doc_id, row) for doc_id, (row, _) in rows.items()]
            batch = batch._replace(dense=np.array(rows_of, np.float32))
        self.writer.add(batch)
        for doc_id, value in rows.items():
            self.pending.pop(doc_id, None)
            self.pending[doc_id] = value
        self.changed = True

    @rule(doc_ids=st.lists(IDS, max_size=3))
    def delete(self, doc_ids: list[str]) -> None:
        held = {doc_id for doc_id in doc_ids if doc_id in self.pending}
        assert self.writer.delete(doc_ids) == len(held)
        for doc_id in held:
            del self.pending[doc_id]
        self.changed = self.changed or bool(doc_ids)

    @rule(low=st.integers(0, 9), high=st.integers(0, 9), allow_all=st.booleans())
    def delete_where(self, low: int, high: int, allow_all: bool) -> None:
        gone = [d for d, (_, n) in self.pending.items() if low <= n <= high]
        filter = {"n": {"$gte": low, "$lte": high}}
        if gone and len(gone) == len(self.pending) and not allow_all:
            with pytest.raises(UsageError, match="every document"):
                self.writer.delete_where(filter, allow_all=False)
            return
        assert self.writer.delete_where(filter, allow_all=allow_all) == len(gone)
        for doc_id in gone:
            del self.pending[doc_id]
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
            doc_id: {t: i / 255 for t, i in row.items()}
            for doc_id, (row, n) in model.items()
            if limit is None or n < limit
        }
        condition = None if limit is None else {"n": {"$lt": limit}}
        hits = index.search(query_of(query), k, filter=condition)
        scores = dict(exhaustive(rows, query, len(rows)))
        best = sorted(scores.values(), reverse=True)[:k]
        assert hits.rank_safe
        # Scores are integers: a match that rounds to nothing is not found.
        assert len(best) - sum(score < 0.02 for score in best) <= len(hits) <= len(best)
        for doc_id, score, wanted in zip(hits.ids, hits.scores, best, strict=False):
            assert abs(score - wanted) < 0.01 + 0.01 * wanted
            assert abs(score - scores[doc_id]) < 0.01 + 0.01 * wanted

    @precondition(lambda self: self.dense and self.committed)
    @rule(
        angle=st.floats(0, 6.25),
        k=st.integers(1, 9),
        limit=st.none() | st.integers(0, 9),
        pinned=st.booleans(),
    )
    def search_dense(self, angle: float, k: int, limit: int | None, pinned: bool) -> None:
        index, model = self.old if pinned else (open_index(PATH, files=self.disk), self.committed)
        scores = {
            doc_id: float(np.dot(dense_of(doc_id, row), [np.cos(angle), np.sin(angle)]))
            for doc_id, (row, n) in model.items()
            if row and (limit is None or n < limit)
        }
        condition = None if limit is None else {"n": {"$lt": limit}}
        query = np.array([np.cos(angle), np.sin(angle)])
        hits = index.require_dense().search(query, k, filter=condition)
        best = sorted(scores.values(), reverse=True)[:k]
        assert hits.rank_safe
        assert np.allclose(hits.scores, best, atol=1e-3 * DIMENSION)
        assert np.allclose([scores[d] for d in hits.ids], hits.scores, atol=1e-3 * DIMENSION)

    @invariant()
    def holds(self) -> None:
        index = open_index(PATH, files=self.disk)
        documents = index.documents(index.select({}))
        assert [d.id for d in documents] == list(self.committed)
        assert [d.text for d in documents] == [f"text {n}" for _, n in self.committed.values()]
        for doc_id, (row, _) in self.committed.items():
            ordinal = index.find(doc_id)
            assert ordinal is not None
            terms, impacts = index.vector(ordinal)
            assert dict(zip(terms.tolist(), impacts.tolist(), strict=True)) == row

    def teardown(self) -> None:
        report = verify(PATH, 2, files=self.disk)
        assert report.ok, report.problems


class DenseMachine(Machine):
    """The same, with dense vectors beside the sparse ones."""

    dense = DenseSpec(DIMENSION, "dot")


TestStateful = Machine.TestCase
TestStateful.settings = settings(
    max_examples=max(1, int(500 * SCALE)),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestStatefulDense = DenseMachine.TestCase
TestStatefulDense.settings = settings(
    max_examples=max(1, int(40 * SCALE)),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
