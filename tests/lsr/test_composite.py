"""Several encoders in one vector: term ranges, counts, what an index keeps, bad descriptions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lsr.corpus import open_corpus
from lsr.encoders import load_encoder, restore_document_encoder, restore_encoder, statistics_of
from lsr.encoders.base import CollectionStatistics
from lsr.encoders.composite.encoder import CompositeEncoder
from lsr.encoders.composite.parts import Part
from lsr.encoders.composite.term_ranges import TermRanges
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.encoders.precomputed import PrecomputedEncoder
from lsr.errors import ModelError, UsageError
from lsr.records import Document
from lsr.sparse import SparseBatch
from lsr.vocabulary import Vocabulary
from lsr_index.build.index_corpus import index_corpus
from lsr_index.hybrid import Retriever
from lsr_index.update.text_writer import IndexUpdater

TEXTS = ["cats chase mice", "a dog chases the cat and the cat runs", "", "mice eat cheese"]


class Lengths(PrecomputedEncoder):
    """Documents to their number of words, as the weight of the only term."""

    def __init__(self) -> None:
        super().__init__(Vocabulary(["words"]))

    def encode_documents(self, texts):  # type: ignore[no-untyped-def]
        from lsr.encoders.base import EncodedDocuments

        rows = [{0: float(len(t.split()))} if t else {} for t in texts]
        counted = CollectionStatistics(len(texts), 3 * len(texts), np.array([7], np.int64))
        return EncodedDocuments(SparseBatch.from_rows(rows), counted)

    def encode_queries(self, texts):  # type: ignore[no-untyped-def]
        return SparseBatch.from_rows([{0: 2.0} for _ in texts])


def composite(weight: float = 0.5) -> CompositeEncoder:
    return CompositeEncoder([Part(Lengths(), weight, "#"), Part(BM25Encoder())])


def finished(encoder: CompositeEncoder) -> tuple[CompositeEncoder, SparseBatch]:
    encoded = encoder.encode_documents(TEXTS)
    ready = encoder.with_statistics(encoded.statistics)
    return ready, ready.finish_documents(encoded.vectors, encoded.statistics)


def scores(encoder: CompositeEncoder | BM25Encoder, vectors: SparseBatch, query: str) -> np.ndarray:
    n = encoder.n_terms
    product = vectors.to_scipy(n) @ encoder.encode_queries([query]).to_scipy(n).T
    return np.asarray(product.todense()).ravel()


def test_score_is_the_weighted_sum_of_the_parts() -> None:
    both, vectors = finished(composite(0.5))
    alone = BM25Encoder()
    counted = alone.encode_documents(TEXTS)
    alone = alone.with_statistics(counted.statistics)
    lexical = scores(alone, alone.finish_documents(*counted), "cat mice")
    words = np.array([len(text.split()) for text in TEXTS])
    assert lexical.max() > 0
    np.testing.assert_allclose(
        scores(both, vectors, "cat mice"), lexical + 0.5 * 2.0 * words, rtol=1e-6
    )


def test_split_undoes_join_and_counts_add_up() -> None:
    ranges = TermRanges([4, 2])
    batches = [
        SparseBatch.from_rows([{0: 1.0, 3: 2.0}, {}]),
        SparseBatch.from_rows([{1: 3.0}, {0: 4.0}]),
        SparseBatch.from_rows([{}, {9: 5.0}]),
    ]
    joined = ranges.join(batches, [1, 1, 1])
    assert joined.indices.tolist() == [0, 3, 5, 4, 15]
    for one, other in zip(ranges.split(joined), batches, strict=True):
        np.testing.assert_array_equal(one.to_scipy(10).todense(), other.to_scipy(10).todense())
    parts = [
        CollectionStatistics(5, 50, np.array([1, 2, 0, 4])),
        CollectionStatistics(5, 20, np.array([3])),
        CollectionStatistics(5, 70, np.array([1, 1, 6])),
    ]
    twice = ranges.join_counts(parts) + ranges.join_counts(parts)
    for one, part in zip(ranges.split_counts(twice), parts, strict=True):
        assert (one.n_docs, one.total_length) == (10, 2 * part.total_length)
        held = part.document_frequency
        assert one.document_frequency[: len(held)].tolist() == (2 * held).tolist()
        assert not one.document_frequency[len(held) :].any()


def test_terms_are_told_apart_by_the_mark_of_their_part() -> None:
    encoder, _ = finished(composite())
    number = encoder.term_id("cat")
    assert number is not None
    assert number >= 1
    assert encoder.term(number) == "cat"
    assert encoder.term(0) == "#words"
    assert encoder.term_id("#words") == 0
    assert encoder.term_id("words") is None


def test_assets_restore_the_query_side() -> None:
    encoder = CompositeEncoder([Part(PrecomputedEncoder(Vocabulary(["x", "y"])), 2.0, "#"),
                                Part(BM25Encoder())])  # fmt: skip
    lexical = encoder.parts[1].encoder
    counted = lexical.encode_documents(TEXTS).statistics
    statistics = encoder.ranges.join_counts([CollectionStatistics(4), counted])
    encoder = encoder.with_statistics(statistics)
    restored = restore_encoder(encoder.assets())
    assert restored.fingerprint == encoder.fingerprint
    assert restored.term_id("#y") == 1
    assert restored.term(2) == encoder.term(2)
    with pytest.raises(UsageError, match="vectors from elsewhere"):
        restore_document_encoder(encoder.assets())
    kept = statistics_of(encoder.assets())
    assert kept is not None
    assert (kept.n_docs, kept.total_length) == (4, counted.total_length)
    assert kept.document_frequency.tolist() == statistics.document_frequency.tolist()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "at least one"),
        ([Part(BM25Encoder(), 1.0, "a"), Part(Lengths())], "grows"),
        ([Part(Lengths()), Part(BM25Encoder())], "own mark"),
        ([Part(Lengths(), 0.0, "#"), Part(BM25Encoder())], "expected > 0"),
    ],
)
def test_parts_that_cannot_stand_together(parts: list[Part], message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError, match=message):
        CompositeEncoder(parts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"parts": []}, "list of parts"),
        ({"parts": [{"encoder": "bm25", "wieght": 2}]}, "wieght"),
        ({"parts": [{"encoder": "../other"}]}, "outside"),
        ({"parts": [{"encoder": "owner/model"}]}, "no folder"),
        ({"parts": [{"encoder": "bm25", "weight": "much"}]}, "expected a number"),
        ({"parts": [{"encoder": "bm25", "options": {"backend": "onnx"}}]}, "expected some of"),
    ],
)
def test_malformed_descriptions(tmp_path: Path, content: object, message: str) -> None:
    (tmp_path / "composite.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=message):
        load_encoder(tmp_path)


def test_options_reach_the_part_they_belong_to(tmp_path: Path) -> None:
    (tmp_path / "composite.json").write_text('{"parts": [{"encoder": "bm25"}]}')
    encoder = load_encoder(tmp_path, k1=1.7, language="german")
    (part,) = encoder.fingerprint.document["parts"]
    assert part["k1"] == 1.7
    assert "german" in str(part["analyzer"])


def test_an_index_grows_and_searches_as_one_made_at_once(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "composite.json").write_text(
        '{"parts": [{"encoder": "bm25", "weight": 2.0}]}'
    )
    source = tmp_path / "docs.jsonl"
    rows = [{"_id": str(i), "text": text or "nothing"} for i, text in enumerate(TEXTS)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = load_encoder(tmp_path / "model")
    index_corpus(open_corpus(str(source)), encoder, tmp_path / "x.index").close()
    with IndexUpdater(tmp_path / "x.index") as updater:
        updater.add([Document("4", "a zebra and a cat", "", {})])
        updater.commit()
    with Retriever.open(tmp_path / "x.index") as retriever:
        found = retriever.search("zebra", k=3, explain=True)
        assert [hit.id for hit in found.hits] == ["4"]
        assert found.hits[0].explanation is not None
        assert [c.term for c in found.hits[0].explanation] == ["zebra"]
        assert {hit.id for hit in retriever.search("cat", k=5).hits} == {"0", "1", "4"}
