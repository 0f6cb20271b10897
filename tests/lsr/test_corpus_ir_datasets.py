"""`ir-datasets:ID`: documents and queries through the real library, and what fails in one line."""

import uuid

import ir_datasets
import pytest

from lsr.corpus import open_corpus
from lsr.corpus.queries import open_queries
from lsr.errors import CorpusError
from lsr.records import Document, Query


@pytest.fixture
def registered(tmp_path):
    (tmp_path / "docs.tsv").write_text("d1\tfirst text\nd2\tsecond text\n")
    (tmp_path / "queries.tsv").write_text("q1\ta query\n")
    dataset_id = f"test-{uuid.uuid4().hex}"
    dataset = ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"), queries_tsv=str(tmp_path / "queries.tsv")
    )
    ir_datasets.registry.register(dataset_id, dataset)
    return dataset_id


def test_documents_and_queries(registered):
    corpus = open_corpus(f"ir-datasets:{registered}")
    assert (
        list(corpus)
        == list(corpus)
        == [
            Document("d1", "first text"),
            Document("d2", "second text"),
        ]
    )
    assert corpus.name == f"ir-datasets:{registered}"
    assert corpus.fingerprint() == open_corpus(corpus.name).fingerprint()
    assert list(open_queries(corpus.name)) == [Query("q1", "a query")]


def test_an_unknown_id_is_one_clear_error():
    for opening in (open_corpus, open_queries):
        with pytest.raises(CorpusError, match=r"ir-datasets:beir/nothing: the .* no collection"):
            opening("ir-datasets:beir/nothing")


def test_without_network_there_is_one_clear_error(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    corpus = open_corpus("ir-datasets:beir/nfcorpus")
    assert corpus.count_hint() == 3633
    with pytest.raises(CorpusError, match=r"could not be fetched.*IR_DATASETS_HOME") as caught:
        next(iter(corpus))
    assert "\n" not in str(caught.value)


def test_a_part_that_a_collection_does_not_have():
    with pytest.raises(CorpusError, match="no queries of its own"):
        open_queries("ir-datasets:wikir/en1k")
