"""`IndexUpdater`: text into an index that exists, with the encoder that the index names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder
from lsr.encoders.base import Encoder
from lsr.errors import DataError, EncoderMismatchError, IndexStateError, ModelError, UsageError
from lsr.records import Document
from lsr.sparse import SparseBatch
from lsr_index.build.builder import build_index
from lsr_index.build.index_corpus import index_corpus
from lsr_index.build.reencode import reindex
from lsr_index.hybrid import Retriever
from lsr_index.update.text_writer import IndexUpdater
from lsr_index.update.verify import verify
from lsr_index.update.writer import IndexWriter
from tests.shared import shared_path

TEXTS = [f"storm over the {'river' if i % 3 else 'harbour'} number{i}" for i in range(40)]


def make(tmp_path: Path, encoder: Encoder) -> Path:
    corpus = tmp_path / "corpus.jsonl"
    lines = [json.dumps({"_id": f"d{i}", "text": text}) for i, text in enumerate(TEXTS)]
    corpus.write_text("\n".join(lines), encoding="utf-8")
    index_corpus(open_corpus(corpus), encoder, tmp_path / "x.index").close()
    return tmp_path / "x.index"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a copy of a small model, to be changed."""
    pytest.importorskip("torch", reason="encoding documents needs the extra [torch]")
    return Path(shutil.copytree(shared_path("models/splade-tiny"), tmp_path / "model"))


def test_bm25_grows_as_one_collection(tmp_path: Path) -> None:
    """Counts after adding are those of all texts together; queries follow at the commit."""
    path = make(tmp_path, load_encoder("bm25"))
    with IndexUpdater(path) as updater:
        assert updater.add([Document("n1", "storm quokka"), Document("n2", "quokka")]) == 2
        assert Retriever.open(path).search("quokka").hits == []
        updater.commit()
    whole = load_encoder("bm25")
    _, counted = whole.encode_documents([*TEXTS, "storm quokka", "quokka"])
    expected = whole.with_statistics(counted).encode_queries(["storm quokka river"])
    with Retriever.open(path) as retriever:
        assert retriever.encoder is not None
        found = retriever.encoder.encode_queries(["storm quokka river"])
        np.testing.assert_array_equal(found.values, expected.values)
        assert {hit.id for hit in retriever.search("quokka").hits} == {"n1", "n2"}


def test_a_rollback_forgets_documents_and_counts(tmp_path: Path) -> None:
    path = make(tmp_path, load_encoder("bm25"))
    with IndexUpdater(path) as updater:
        updater.add([Document("n1", "storm storm quokka")])
        updater.rollback()
        assert updater.commit().generation == 1
        updater.add([Document("n2", "quokka")])
        updater.commit()
        assets = updater.retriever().index.encoder_assets
    assert assets is not None
    assert assets.config["n_docs"] == len(TEXTS) + 1
    assert verify(path, 3).ok


def test_a_refused_batch_leaves_nothing(tmp_path: Path) -> None:
    path = make(tmp_path, load_encoder("bm25"))
    with IndexUpdater(path, max_terms=3) as updater:
        with pytest.raises(DataError, match="4 terms"):
            updater.add_batch([Document("ok", "one"), Document("n", "alpha beta gamma delta")])
        assert updater.commit().generation == 1
        with pytest.raises(DataError, match="control"):
            updater.add_batch([Document("ok", "one"), Document("a\x00", "two")])
        assert updater.commit().generation == 1


@pytest.mark.parametrize("query_encoder", ["model", "idf"])
def test_a_model_encodes_new_documents_as_the_first_ones(
    tmp_path: Path, model: Path, query_encoder: str
) -> None:
    """A document added with the text of an old one gets its vector."""
    encoder = load_encoder(model, query_encoder=query_encoder)  # type: ignore[arg-type]
    path = make(tmp_path, encoder)
    for number in range(2):  # the second one restores what the first has stored
        with IndexUpdater(path) as updater:
            updater.add([Document(f"copy{number}", TEXTS[number])])
            updater.commit()
    with Retriever.open(path) as retriever:
        for number in range(2):
            old, new = retriever.index.find(f"d{number}"), retriever.index.find(f"copy{number}")
            assert old is not None
            assert new is not None
            for one, other in zip(
                retriever.index.vector(old), retriever.index.vector(new), strict=True
            ):
                assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
        assert {"d1", "copy1"} <= {hit.id for hit in retriever.search(TEXTS[1], 5).hits}


def test_a_model_that_changed_or_left_is_refused(tmp_path: Path, model: Path) -> None:
    path = make(tmp_path, load_encoder(model, query_encoder="idf"))
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    with IndexUpdater(path) as updater:
        with pytest.raises(EncoderMismatchError, match="changed"):
            updater.add([Document("a", "storm")])
        shutil.rmtree(model)
        with pytest.raises(ModelError, match="model"):
            updater.add([Document("a", "storm")])
        assert updater.delete(["d0"]) == 1  # that needs no model
        assert updater.commit().n_docs == len(TEXTS) - 1


def test_vectors_from_elsewhere_take_no_text(tmp_path: Path) -> None:
    build_index(tmp_path / "v", SparseBatch.from_rows([{1: 1.0}])).close()
    with IndexUpdater(tmp_path / "v") as updater, pytest.raises(UsageError, match="vectors"):
        updater.add([Document("a", "storm")])


def test_reindexing_refuses_an_index_that_changed_meanwhile(tmp_path: Path) -> None:
    path = make(tmp_path, load_encoder("bm25"))

    def delete_one(stage: str, done: int, total: int | None) -> None:
        if stage == "encode" and done == len(TEXTS):
            with IndexWriter(path) as writer:
                writer.delete(["d7"])
                writer.commit()

    with pytest.raises(IndexStateError, match="changed meanwhile"):
        reindex(path, load_encoder("bm25", k1=0.5), progress=delete_one)
    with Retriever.open(path) as retriever:
        assert retriever.index.generation == 2
        assert retriever.index.document("d7") is None
    reindex(path, load_encoder("bm25", k1=0.5)).close()
    with Retriever.open(path) as retriever:
        assert (retriever.index.n_docs, retriever.index.generation) == (len(TEXTS) - 1, 3)
