"""BM25 as sparse vectors: the formula, the vocabulary, and quality on judged collections."""

import csv
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.analysis import Analyzer
from lsr.corpus import open_corpus
from lsr.encoders import CollectionStatistics, Encoder, load_encoder, restore_encoder
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from tests.shared import run_python, shared_path

TEXTS = [
    "Sparse vectors, inverted files and block-max pruning.",
    "A file of vectors: vectors, vectors, vectors!",
    "",
    "the of and",
    "Pruning trees in winter needs sharp tools and a steady hand, and patience.",
]


def encoded(texts, **options):
    encoder = load_encoder("bm25", **options)
    vectors, statistics = encoder.encode_documents(texts)
    return encoder.with_statistics(statistics), encoder.finish_documents(vectors, statistics)


def scores_of(encoder, vectors, queries):
    """Return the (n_queries, n_docs) inner products."""
    product = encoder.encode_queries(queries).to_scipy(encoder.n_terms) @ (
        vectors.to_scipy(encoder.n_terms).T
    )
    return product.toarray()


def textbook_scores(texts, query, k1, b):
    """BM25 written from its definition, with dictionaries."""
    analyzer = Analyzer()
    documents = [Counter(analyzer.terms(text)) for text in texts]
    average = sum(d.total() for d in documents) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for term in analyzer.terms(query):
            n = sum(term in d for d in documents)
            idf = math.log(1 + (len(documents) - n + 0.5) / (n + 0.5))
            tf = document[term]
            score += idf * tf * (k1 + 1) / (
                tf + k1 * (1 - b + b * document.total() / average)
            ) if tf else 0.0  # fmt: skip
        scores.append(score)
    return scores


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.9, 0.4), (0.0, 0.0), (2.0, 1.0)])
def test_inner_products_are_the_bm25_scores(k1, b):
    encoder, vectors = encoded(TEXTS, k1=k1, b=b)
    queries = ["vectors", "pruning of vectors and vectors of files", "nothing known", ""]
    scores = scores_of(encoder, vectors, queries)
    for query, row in zip(queries, scores, strict=True):
        np.testing.assert_allclose(row, textbook_scores(TEXTS, query, k1, b), rtol=1e-6)


def test_it_is_an_encoder_and_its_rows_are_valid_vectors():
    encoder, vectors = encoded(TEXTS)
    assert isinstance(encoder, Encoder)
    again = SparseBatch.from_arrays(vectors.indptr, vectors.indices, vectors.values)
    np.testing.assert_array_equal(again.values, vectors.values)
    assert np.diff(vectors.indptr)[2] == 0  # an empty document has an empty vector
    assert np.diff(vectors.indptr)[3] == 0  # so has one of stop words
    assert vectors.values.max() < encoder.k1 + 1


@given(
    st.lists(st.text(st.sampled_from("ab cde "), max_size=30), max_size=8), st.integers(0, 8)
)  # fmt: skip
def test_batches_give_what_the_whole_gives(texts, cut):
    whole = BM25Encoder()
    vectors, statistics = whole.encode_documents(texts)
    parts = BM25Encoder()
    first, second = parts.encode_documents(texts[:cut]), parts.encode_documents(texts[cut:])
    joined = SparseBatch.concatenate([first.vectors, second.vectors])
    total = first.statistics + second.statistics
    np.testing.assert_array_equal(joined.indptr, vectors.indptr)
    np.testing.assert_array_equal(joined.indices, vectors.indices)
    np.testing.assert_array_equal(joined.values, vectors.values)
    assert (total.n_docs, total.total_length) == (statistics.n_docs, statistics.total_length)
    np.testing.assert_array_equal(total.document_frequency, statistics.document_frequency)
    assert list(map(parts.term, range(parts.n_terms))) == list(
        map(whole.term, range(whole.n_terms))
    )


def test_a_saved_state_continues_where_it_was_and_only_grows():
    straight = BM25Encoder()
    expected = [straight.encode_documents([text]).vectors for text in TEXTS]

    encoder = BM25Encoder()
    states = [encoder.state()]
    for text, vectors in zip(TEXTS, expected, strict=True):
        encoder = BM25Encoder()
        encoder.load_state(states[-1])
        found = encoder.encode_documents([text]).vectors
        np.testing.assert_array_equal(found.indices, vectors.indices)
        states.append(encoder.state())
        assert states[-1].startswith(states[-2])
    assert encoder.state() == straight.state()


def test_restoring_from_the_assets_gives_the_same_queries():
    encoder, _ = encoded(TEXTS, k1=0.9, b=0.4, stopwords=["tools"], accents="keep")
    restored = restore_encoder(encoder.assets())
    queries = ["pruning tools", "unknown", "winter trees trees"]
    ours, theirs = encoder.encode_queries(queries), restored.encode_queries(queries)
    np.testing.assert_array_equal(ours.indptr, theirs.indptr)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_array_equal(ours.values, theirs.values)
    assert restored.fingerprint == encoder.fingerprint
    assert restored.term(0) == encoder.term(0) == "spars"
    assert restored.term_id("spars") == 0
    assert restored.term_id("sparse") is None
    json.dumps(dict(encoder.assets().config))


def test_every_parameter_changes_the_digest():
    digests = {
        load_encoder("bm25", **options).fingerprint.digest
        for options in ({}, {"k1": 1.0}, {"b": 0.5}, {"language": "german"}, {"stopwords": []})
    }
    assert len(digests) == 5


def test_queries_need_a_collection():
    with pytest.raises(UsageError, match="document frequencies of a collection"):
        BM25Encoder().encode_queries(["anything"])


def test_refreshed_statistics_change_query_weights_only():
    encoder, _ = encoded(TEXTS)
    doubled = encoder.with_statistics(
        CollectionStatistics(1000, 5000, encoder.statistics.document_frequency)
    )
    assert doubled.fingerprint.digest == encoder.fingerprint.digest
    assert (
        doubled.encode_queries(["pruning"]).values > encoder.encode_queries(["pruning"]).values
    ).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": -1.0}, "k1 = -1.0"),
        ({"k1": math.nan}, "k1 = nan"),
        ({"b": 1.5}, "b = 1.5"),
        ({"language": "klingon"}, "klingon"),
        ({"max_length": 256}, "max_length: not an option of the encoder bm25"),
        ({"query_encoder": "model"}, "query_encoder: not an option of the encoder bm25"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        load_encoder("bm25", **options)


@pytest.mark.parametrize(
    ("collection", "at_least"),
    [("scifact", 0.680), ("cranfield", 0.42), ("cisi", 0.39), ("cacm", 0.48)],
)
def test_quality_on_judged_collections(collection, at_least):
    import ir_measures

    folder = shared_path(f"data/collections/{collection}")
    documents = list(open_corpus(folder))
    encoder, vectors = encoded([document.contents for document in documents])
    with (folder / "qrels/test.tsv").open(encoding="utf-8") as file:
        qrels = [
            ir_measures.Qrel(row["query-id"], row["corpus-id"], int(row["score"]))
            for row in csv.DictReader(file, delimiter="\t")
        ]
    judged = {qrel.query_id for qrel in qrels}
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [query for query in map(json.loads, lines) if query["_id"] in judged]
    scores = scores_of(encoder, vectors, [query["text"] for query in queries])
    run = [
        ir_measures.ScoredDoc(query["_id"], documents[i].id, float(row[i]))
        for query, row in zip(queries, scores, strict=True)
        for i in np.argsort(-row, kind="stable")[:10]
        if row[i] > 0
    ]
    measured = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)
    assert measured[ir_measures.nDCG @ 10] >= at_least


def test_searching_with_bm25_loads_no_neural_library():
    code = (
        "import sys\n"
        "from lsr.encoders import load_encoder, restore_encoder\n"
        "e = load_encoder('bm25')\n"
        "s = e.encode_documents(['sparse vectors']).statistics\n"
        "r = restore_encoder(e.with_statistics(s).assets())\n"
        "assert r.encode_queries(['vectors']).nnz == 1\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    run_python(code)
