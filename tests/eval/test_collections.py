"""Test collections: folders, ids of ir-datasets, splits, and what does not fit together."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ir_datasets
import pytest
from ir_datasets.datasets.base import Dataset
from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries
from ir_datasets.util import LocalDownload

from lsr.errors import CorpusError, UsageError
from lsr_eval.collections.collection import open_collection
from tests.shared import ROOT, shared_path


def folder(
    tmp_path: Path,
    *,
    name: str = "tiny",
    queries: dict[str, str] | None = None,
    qrels: dict[str, str] | None = None,
) -> Path:
    base = tmp_path / name
    (base / "qrels").mkdir(parents=True)
    documents = [{"_id": f"d{n}", "title": "", "text": f"word{n}"} for n in range(3)]
    (base / "corpus.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
    queries = queries if queries is not None else {"q1": "word1", "q2": "word2", "q3": ""}
    (base / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in queries.items())
    )
    for file, text in (qrels or {"test.tsv": "q2\td2\t1\nq1\td1\t1\n"}).items():
        (base / "qrels" / file).write_text(text)
    return base


def test_only_judged_queries_in_the_order_of_the_qrels(tmp_path: Path) -> None:
    collection = open_collection(folder(tmp_path))
    assert (collection.name, collection.split) == ("tiny", "test")
    assert [query.id for query in collection.queries] == ["q2", "q1"]
    assert collection.qrels == {"q2": {"d2": 1}, "q1": {"d1": 1}}
    assert collection.n_judgments == 2
    assert not collection.warnings
    assert [document.id for document in collection.corpus()] == ["d0", "d1", "d2"]


def test_splits(tmp_path: Path) -> None:
    qrels = {"test.tsv": "q1\td1\t1\n", "dev.txt": "q2 0 d2 1\n"}
    base = folder(tmp_path, qrels=qrels)
    assert open_collection(base, split="dev").qrels == {"q2": {"d2": 1}}
    with pytest.raises(UsageError, match=r"no split 'train'; it has: dev, test"):
        open_collection(base, split="train")


def test_topics_without_a_query_are_left_out_with_a_warning(tmp_path: Path) -> None:
    base = folder(tmp_path, qrels={"test.tsv": "q1\td1\t1\nqX\td1\t1\nq2\td2\t0\n"})
    collection = open_collection(base)
    assert list(collection.qrels) == ["q1", "q2"]
    assert "1 of 3 judged topics have no query text" in collection.warnings[0]
    assert "1 of 2 topics have no relevant document" in collection.warnings[1]


def test_queries_of_another_collection(tmp_path: Path) -> None:
    base = folder(tmp_path, qrels={"test.tsv": "qX\td1\t1\n"})
    with pytest.raises(CorpusError, match="none of the 1 judged topics is among the 3 queries"):
        open_collection(base)


@pytest.mark.parametrize(
    ("name", "drops"),
    [("arguana", True), ("Quora", True), ("beir_arguana-v2", True), ("scifact", False)],
)
def test_hits_equal_to_the_query_are_dropped_where_queries_are_documents(
    tmp_path: Path, name: str, drops: bool
) -> None:
    base = folder(tmp_path, name=name)
    assert open_collection(base).drop_query_id is drops
    assert open_collection(base, drop_query_id=not drops).drop_query_id is not drops


def test_malformed_queries_are_named_with_their_line(tmp_path: Path) -> None:
    base = folder(tmp_path)
    (base / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n{"_id": "q2"}\n')
    with pytest.raises(CorpusError, match=r"queries\.jsonl:2: "):
        open_collection(base)


def test_duplicate_queries_are_refused(tmp_path: Path) -> None:
    base = folder(tmp_path)
    (base / "queries.jsonl").write_text('{"_id": "q1", "text": "a"}\n' * 2)
    with pytest.raises(CorpusError, match=r"queries\.jsonl:2: .*q1"):
        open_collection(base)


def test_incomplete_folders(tmp_path: Path) -> None:
    base = folder(tmp_path)
    (base / "qrels" / "test.tsv").unlink()
    with pytest.raises(UsageError, match=r"expected tiny/qrels/test\.tsv"):
        open_collection(base)
    (base / "queries.jsonl").unlink()
    with pytest.raises(CorpusError, match=r"no queries\.jsonl"):
        open_collection(base)
    with pytest.raises(UsageError, match="is a file; expected a folder"):
        open_collection(base / "corpus.jsonl")


def test_neither_folder_nor_id(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a folder nor an id of ir-datasets"):
        open_collection(tmp_path / "nothing")
    with pytest.raises(UsageError, match="neither a folder nor an id of ir-datasets"):
        open_collection("ir-datasets:beir/no-such-set/test")


def test_an_id_without_judgments_names_those_below_it() -> None:
    with pytest.raises(UsageError, match="beir/scifact/test, beir/scifact/train"):
        open_collection("beir/scifact", split="dev")


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[str]:
    """A data set of the real library, of local files."""
    (tmp_path / "docs.tsv").write_text("d1\tfirst document\nd2\tsecond document\n")
    (tmp_path / "queries.tsv").write_text("q1\tfirst\nq2\tsecond\nq3\tunjudged\n")
    (tmp_path / "qrels.txt").write_text("q2 0 d2 2\nq1 0 d1 1\n")
    dataset_id = "lsr-tests/tiny/test"
    ir_datasets.registry.register(
        dataset_id,
        Dataset(
            TsvDocs(LocalDownload(tmp_path / "docs.tsv"), namespace="lsr-tests"),
            TsvQueries(LocalDownload(tmp_path / "queries.tsv")),
            TrecQrels(LocalDownload(tmp_path / "qrels.txt"), {1: "partly", 2: "fully"}),
        ),
    )
    yield dataset_id
    del ir_datasets.registry._registered[dataset_id]


@pytest.mark.parametrize("prefix", ["", "ir-datasets:"])
def test_ids_of_ir_datasets(registered: str, prefix: str) -> None:
    collection = open_collection(prefix + registered)
    assert (collection.name, collection.split) == (registered, "test")
    assert [query.text for query in collection.queries] == ["second", "first"]
    assert collection.qrels == {"q2": {"d2": 2}, "q1": {"d1": 1}}
    assert [document.text for document in collection.corpus()] == [
        "first document",
        "second document",
    ]


def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    program = (
        "from lsr_eval.collections.collection import open_collection\n"
        "from lsr.errors import CorpusError\n"
        "try:\n    open_collection('beir/scifact', split='test')\n"
        "except CorpusError as error:\n    print(error)\n"
    )
    nowhere = "http://127.0.0.1:9"
    environment = os.environ | {
        "HTTPS_PROXY": nowhere,
        "HTTP_PROXY": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "",
        "NO_PROXY": "",
        "IR_DATASETS_HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ir-datasets:beir/scifact/test: ")
    assert "check the network" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("name", "split", "n_topics", "n_judgments"),
    [
        ("scifact", "test", 300, 339),
        ("scifact", "train", 809, 919),
        ("cranfield", "test", 225, 1837),
        ("cisi", "test", 76, 3114),
        ("cacm", "test", 52, 796),
        ("wikiqa", "dev", 126, 140),
    ],
)
def test_real_collections(name: str, split: str, n_topics: int, n_judgments: int) -> None:
    collection = open_collection(shared_path(f"data/collections/{name}"), split=split)
    assert len(collection.queries) == len(collection.qrels) == n_topics
    assert collection.n_judgments == n_judgments
    assert all(query.text for query in collection.queries)
    assert not collection.warnings
