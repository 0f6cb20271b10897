"""Closing, refreshing and mixing: what a search reads stays until it ends, and no longer."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from lsr.errors import IndexStateError
from lsr.records import Document
from lsr.sparse import SparseBatch
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.search.execute import search_segments
from lsr_index.search.segment_set import LiveBitmaps, Segments
from lsr_index.segment.geometry import BuildOptions
from lsr_index.segment.inverter import build_segment
from lsr_index.segment.kernel_segment import KernelSegment
from tests import strategies
from tests.index.collections import N_TERMS, batch_of, numbered, random_rows
from tests.index.faults.scale import SCALE
from tests.shared import ROOT

FEW = {"n": {"$lt": 9}}


def documents_of(rows: Iterable[str]) -> dict[str, Document]:
    """Return a document for each id, numbered in the field ``n``."""
    return {d: Document(d, f"text of {d}", "", {"n": i}) for i, d in enumerate(rows)}


def make(path: Path, n: int = 300) -> SparseBatch:
    """Build an index of several ranges, and return a query for it."""
    rows = random_rows(3, numbered(n), nnz=20)  # terms in more documents than lists are made for
    build_index(
        path,
        [batch_of(rows, documents_of(rows))],
        n_terms=N_TERMS,
        range_size=64,
        dense_fraction=0.26,
    ).close()
    return SparseBatch.from_rows([dict.fromkeys(range(0, N_TERMS, 3), 1.0)])


def close_beside_searches(folder: Path, count: int) -> None:
    """Close an index while others search it, `count` times; run in a process of its own."""
    from threading import Barrier, Thread

    query = make(folder / "x.index")
    with open_index(folder / "x.index") as index:
        wanted = {k: index.search(query, k).ids for k in (5, 200)}
        filtered = index.search(query, 5, filter=FEW).ids
    answered = 0
    for number in range(count):
        index, barrier = open_index(folder / "x.index"), Barrier(4)
        failures: list[BaseException] = []

        def search(index=index, barrier=barrier, failures=failures, number=number) -> None:
            nonlocal answered
            barrier.wait()
            try:
                while True:
                    k = (5, 200)[number % 2]
                    assert index.search(query, k).ids == wanted[k]
                    assert index.search(query, 5, filter=FEW).ids == filtered
                    assert [h.ids for h in index.search_batch(query, k)] == [wanted[k]]
                    answered += 1
            except IndexStateError:
                pass
            except BaseException as error:
                failures.append(error)

        threads = [Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        barrier.wait()
        time.sleep(0.0005 * (number % 20))  # before the first search, within one, between two
        index.close()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert failures == []
    sys.stdout.write(f"{answered}\n")


@pytest.mark.slow
def test_closing_beside_running_searches_ends_them_in_order(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.index.test_snapshot", str(tmp_path), str(int(300 * SCALE))],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 300 * SCALE


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    query = make(tmp_path / "x.index")
    for searched_before in (False, True):
        index = open_index(tmp_path / "x.index")
        if searched_before:
            assert index.search(query, 3, filter=FEW).ids
        index.close()
        for ask in (
            lambda index=index: index.search(query),
            lambda index=index: index.search(query, filter=FEW),
            lambda index=index: index.search_batch(query),
            lambda index=index: index.select(FEW),
        ):
            with pytest.raises(IndexStateError, match="closed"):
                ask()


def test_hits_of_a_closed_index_keep_their_numbers(tmp_path: Path) -> None:
    query = make(tmp_path / "x.index")
    with open_index(tmp_path / "x.index") as index:
        hits = index.search(query, 3)
    assert len(hits.ordinals) == 3
    with pytest.raises(IndexStateError):
        _ = hits.ids


def test_bitmaps_of_other_segments_are_refused() -> None:
    rng = np.random.default_rng(4)
    options = BuildOptions(block_size=16, range_size=64, threads=1)
    made = [
        KernelSegment(
            build_segment(
                *strategies.from_dense(strategies.random_matrix(rng, "plain", n)), options=options
            )
        )
        for n in (60, 60, 200)
    ]
    one, other = Segments(made[:2]), Segments(made)
    terms, weights = np.arange(3, dtype=np.uint32), np.ones(3, np.float32)
    for live in (other.all_live, LiveBitmaps(()), Segments(made[1::-1]).all_live):
        with pytest.raises(ValueError, match="other segments"):
            search_segments(one, terms, weights, 5, live=live)
    assert len(search_segments(one, terms, weights, 5, live=one.all_live).ordinals)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts maps in /proc")
def test_former_generations_are_unmapped_without_the_cyclic_collector(tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    query = make(path)
    gc.collect()
    gc.disable()
    try:
        index = open_index(path)
        counts = []
        for number in range(6):
            for _ in range(3):  # the third time a filter has posting lists of its own
                assert index.search(query, 3, filter=FEW).ids
                index.search_batch(query, 3, filter={"n": {"$gt": 1}})
            counts.append(maps_of(path))
            change(path, number)
            index = index.refresh()
        assert max(counts) == min(counts), counts
        del index
        assert maps_of(path) == 0
    finally:
        gc.enable()


def change(path: Path, number: int) -> None:
    """Make a generation that shares no segment with the one before."""
    with IndexWriter(path) as writer:
        rows = random_rows(number, [f"new{number}"])
        writer.add(batch_of(rows, documents_of(rows)))
        writer.commit()
        writer.compact()


def maps_of(path: Path) -> int:
    """Return how many maps of an index's files this process has."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum(f"{path}/" in line for line in lines)


if __name__ == "__main__":
    close_beside_searches(Path(sys.argv[1]), int(sys.argv[2]))
