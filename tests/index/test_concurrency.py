"""One writer with hundreds of commits beside threads and processes that read."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lsr_index import IndexWriter, build_index
from lsr_index.update.merge_policy import MergePolicy
from lsr_index.update.verify import verify
from tests.index.faults.reading import Reader, batch_for
from tests.index.faults.scale import LONGER, SCALE, time_limit
from tests.shared import ROOT

N_THREADS, N_PROCESSES = 4, 2
N_COMMITS = 200


@pytest.mark.slow
@time_limit
def test_every_answer_is_right_for_its_own_generation(tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    n_reads = int(50_000 * SCALE) // (N_THREADS + N_PROCESSES) + 1
    build_index(path, [batch_for(1)], n_terms=4, max_weight=1.0).close()
    failures: list[BaseException] = []
    readers = [Reader(path, seed) for seed in range(N_THREADS)]

    def read(reader: Reader) -> None:
        try:
            for _ in range(n_reads):
                reader.read()
        except BaseException as error:
            failures.append(error)

    others = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.index.faults.reading", str(path), str(n_reads), str(i)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(N_PROCESSES)
    ]
    threads = [threading.Thread(target=read, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    policy = MergePolicy(factor=4, floor_docs=10)
    n = 1
    with IndexWriter(path, policy=policy, background=True) as writer:
        while n <= N_COMMITS or any(thread.is_alive() for thread in threads):
            n += 1
            writer.add(batch_for(n))
            writer.commit()
        writer.wait_for_merges()
    for thread in threads:
        thread.join()
    for process in others:
        output, problems = process.communicate(timeout=200 * LONGER)
        assert process.returncode == 0, problems
        assert int(output) >= 1
    assert not failures, failures[0]
    assert max(len(reader.generations) for reader in readers) > 10 * min(1, SCALE)
    assert verify(path, 3).ok
