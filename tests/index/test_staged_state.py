"""The state of an encoder is part of the index: all of it is committed, or nothing of it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder, restore_document_encoder
from lsr.errors import DataError
from lsr.records import Document
from lsr_index import build_index, open_index
from lsr_index.build.index_corpus import index_corpus
from lsr_index.search.index import Index
from lsr_index.segment import metadata_columns
from lsr_index.update.text_writer import IndexUpdater
from lsr_index.update.verify import verify
from tests.index.collections import batch_of
from tests.index.faults.disk import SimulatedDisk
from tests.index.faults.scale import SCALE

MAX_TERMS = 400
NEW_WORDS = " ".join(f"zqxvj{i}" for i in range(60))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of an index: postings, documents, vocabulary, manifest."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "write.lock"}


def encoder_state(index: Index) -> tuple[int, bytes | None]:
    """The size of the vocabulary, and its terms as the index stores them."""
    assert index.encoder_assets is not None
    return index.n_terms, restore_document_encoder(index.encoder_assets).state()


@pytest.fixture(scope="module", params=["bm25", "lsr-tiny-en"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "c.jsonl").write_text('{"_id": "1", "text": "tea"}\n{"_id": "2", "text": "milk"}\n')
    encoder = load_encoder(request.param)
    index_corpus(open_corpus(folder / "c.jsonl"), encoder, folder / "x").close()
    return folder / "x"


@pytest.fixture
def twins(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The same index twice: one meets refused documents, the other never does."""
    return shutil.copytree(made, tmp_path / "one"), shutil.copytree(made, tmp_path / "other")


REFUSED: dict[str, Document] = {
    "too many terms": Document("x", " ".join(f"word{i}" for i in range(2 * MAX_TERMS)), "", {}),
    "a bad id": Document("tab\there", "fine", "", {}),
    "an empty id": Document("", "fine", "", {}),
    "text that is no Unicode": Document("x", "fine \ud800", "", {}),
    "a number that JSON has not": Document("x", "fine", "", {"a": float("nan")}),
    "too many fields": Document(
        "x", "fine", "", {f"f{i}": 1 for i in range(metadata_columns.MAX_COLUMNS + 1)}
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_batch_leaves_nothing(twins: tuple[Path, Path], name: str) -> None:
    one, other = twins
    for path in twins:
        with IndexUpdater(path, max_terms=MAX_TERMS) as updater:
            for number in range(2):  # before the first commit, and after one
                if path == one:
                    batch = [Document("ok", NEW_WORDS, "", {}), REFUSED[name]]
                    with pytest.raises(DataError):
                        updater.add_batch(batch)
                updater.add_batch([Document(f"n{number}", f"tea leaf{number}", "", {})])
                updater.commit()
    assert contents(one) == contents(other)
    assert b"zqxvj" not in b"".join(contents(one).values())


@pytest.mark.parametrize("commit_between", [False, True])
def test_rollback_restores_all_of_it(twins: tuple[Path, Path], commit_between: bool) -> None:
    one, other = twins
    for path in twins:
        with IndexUpdater(path) as updater:
            if commit_between:
                updater.add_batch([Document("a", "green tea", "", {})])
                updater.commit()
            if path == one:
                updater.add_batch([Document("b", NEW_WORDS, "", {"new": 1})])
                updater.delete(["1"])
                updater.rollback()
                with updater.retriever() as retriever:
                    assert retriever.search("zqxvj1").hits == []
            updater.add_batch([Document("c", "black tea", "", {})])
            updater.commit()
    assert contents(one) == contents(other)
    assert verify(one, 3).ok


def test_queries_do_not_see_terms_before_their_commit(twins: tuple[Path, Path]) -> None:
    with IndexUpdater(twins[0]) as updater:
        updater.add_batch([Document("a", "green tea", "", {})])
        updater.commit()
        with updater.retriever() as retriever:
            assert retriever.encoder is not None
            before = retriever.encoder.encode_queries(["tea zqxvj1"])
            updater.add_batch([Document("b", NEW_WORDS, "", {})])
            after = retriever.encoder.encode_queries(["tea zqxvj1"])
            assert (before.indices.tolist(), before.values.tolist()) == (
                after.indices.tolist(),
                after.values.tolist(),
            )


class PowerCutError(Exception):
    """Raised by the simulated disk."""


PATH = Path("/x")


def workload(disk: SimulatedDisk, note: Callable[[int], None]) -> None:
    with IndexUpdater(PATH, files=disk) as updater:
        note(updater.generation)
        for number in range(3):
            updater.add_batch([Document(f"n{number}", f"tea leaf{number} word{number}", "", {})])
            updater.commit()
            note(updater.generation)
        updater.delete(["n0"])
        updater.commit()
        note(updater.generation)


def test_after_a_power_cut_the_vocabulary_is_that_of_its_generation() -> None:
    disk = SimulatedDisk()
    encoder = load_encoder("bm25")
    _, counted = encoder.encode_documents(["tea"])
    ready = encoder.with_statistics(counted)
    build_index(
        PATH, [batch_of({"a": {0: 1.0}})], files=disk, n_terms=1,
        encoder=ready.assets(), fingerprint=ready.fingerprint,
    ).close()  # fmt: skip
    states: dict[int, object] = {}

    def note(generation: int) -> None:
        with open_index(PATH, files=running) as index:
            assert index.generation == generation
            states[generation] = (encoder_state(index), index.doc_ids(index.select({})))

    running, steps = disk.after_kill(), 0

    def count(operation: str, path: Path) -> None:
        nonlocal steps
        steps += 1

    running.before = count
    workload(running, note)
    assert len(states) == 5
    for cut in range(steps):
        running, left, acknowledged = disk.after_kill(), cut, [0]

        def fail(operation: str, path: Path) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise PowerCutError

        running.before = fail
        with pytest.raises((PowerCutError, Exception)):
            workload(running, acknowledged.append)
        for seed in range(max(1, round(2 * SCALE))):
            found = running.after_power_cut(random.Random(cut * 100 + seed))
            with open_index(PATH, files=found) as index:
                assert index.generation >= acknowledged[-1]
                state = (encoder_state(index), index.doc_ids(index.select({})))
                assert state == states[index.generation]
