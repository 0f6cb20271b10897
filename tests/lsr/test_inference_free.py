"""Inference-free queries: sets of word pieces, IDF of the texts, tables of models, no torch."""

import json
import math

import numpy as np
import pytest
from tokenizers import Tokenizer

from lsr.corpus import open_corpus
from lsr.encoders import CollectionStatistics, load_encoder, restore_encoder
from lsr.encoders.neural.idf import inverse_document_frequency, read_table
from lsr.encoders.neural.inference_free import InferenceFreeQueryEncoder
from lsr.encoders.neural.word_pieces import WordPieces
from lsr.errors import IndexFormatError, ModelError, UsageError
from tests.shared import run_python, shared_path

DOCUMENT = {"kind": "splade", "model": "0" * 64}


@pytest.fixture(scope="module")
def tokenizer_json():
    return shared_path("models/splade-tiny/tokenizer.json").read_text(encoding="utf-8")


@pytest.fixture
def pieces(tokenizer_json):
    return WordPieces(tokenizer_json, max_length=256)


@pytest.fixture
def collection(pieces):
    """Statistics of real abstracts, and the distinct pieces of each."""
    corpus = open_corpus(shared_path("data/collections/cranfield"))
    texts = [document.contents for document in corpus][:200]
    return pieces.count(texts, pieces.encode(texts)), texts


def test_a_query_is_the_set_of_its_pieces_times_idf(pieces, collection, tokenizer_json):
    statistics, texts = collection
    encoder = InferenceFreeQueryEncoder(pieces, DOCUMENT, statistics=statistics)
    plain = Tokenizer.from_str(tokenizer_json)
    plain.no_truncation()
    plain.no_padding()
    holding = [
        set(plain.encode(text, add_special_tokens=False).ids[:254]) for text in texts
    ]  # the limit of 256 pieces counts the two special tokens
    queries = ["boundary layer, boundary conditions", "the heat transfer of the wing", "q"]
    vectors = encoder.encode_queries(queries)
    for row, query in enumerate(queries):
        expected = {}
        for piece in plain.encode(query, add_special_tokens=False).ids:
            n = sum(piece in held for held in holding)
            expected[piece] = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
        ids, weights = vectors.row(row)
        assert list(ids) == sorted(expected)
        np.testing.assert_allclose(weights, [expected[int(i)] for i in ids], rtol=1e-6)


def test_special_tokens_are_no_words_of_a_query(pieces, collection):
    encoder = InferenceFreeQueryEncoder(pieces, DOCUMENT, statistics=collection[0])
    vectors = encoder.encode_queries(["", "  ", "[SEP] [MASK] wing [UNK] 𒀀", "wing"])
    assert list(np.diff(vectors.indptr)) == [0, 0, 1, 1]
    assert encoder.term(int(vectors.indices[0])) == "wing"
    assert encoder.term_id("wing") == vectors.indices[0]
    assert encoder.term_id("no such piece") is None


def test_truncation_and_padding_of_the_stored_tokenizer_do_not_matter(pieces, collection):
    encoder = InferenceFreeQueryEncoder(pieces, DOCUMENT, statistics=collection[0])
    alone = encoder.encode_queries(["wing"])
    long_text = " ".join(f"number{i} wing" for i in range(400))
    together = encoder.encode_queries([long_text, "wing"])
    np.testing.assert_array_equal(together.row(1)[0], alone.row(0)[0])


def test_restoring_gives_the_same_queries_and_can_be_refreshed(pieces, collection):
    encoder = InferenceFreeQueryEncoder(pieces, DOCUMENT, statistics=collection[0])
    assets = encoder.assets()
    assert assets.arrays["tokenizer"].dtype == np.uint8
    json.dumps(dict(assets.config))
    restored = restore_encoder(assets)
    assert isinstance(restored, InferenceFreeQueryEncoder)
    assert restored.fingerprint == encoder.fingerprint
    queries = ["boundary layer", "wing wing", ""]
    ours, theirs = encoder.encode_queries(queries), restored.encode_queries(queries)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_array_equal(ours.values, theirs.values)

    more = CollectionStatistics(10_000, 10_000, collection[0].document_frequency)
    refreshed = restored.with_statistics(more)
    assert (refreshed.encode_queries(["wing"]).values > theirs.row(1)[1]).all()
    assert refreshed.fingerprint.digest == encoder.fingerprint.digest


def test_queries_need_a_collection_or_a_table(pieces):
    with pytest.raises(UsageError, match="counted in the texts of a collection"):
        InferenceFreeQueryEncoder(pieces, DOCUMENT).encode_queries(["wing"])


def test_incomplete_assets_are_refused(pieces, collection):
    assets = InferenceFreeQueryEncoder(pieces, DOCUMENT, statistics=collection[0]).assets()
    arrays = {k: v for k, v in assets.arrays.items() if k != "tokenizer"}
    with pytest.raises(IndexFormatError, match="lacks 'tokenizer'"):
        restore_encoder(type(assets)(assets.config, arrays))
    with pytest.raises(IndexFormatError, match="unknown kind, 'tomorrow'"):
        restore_encoder(type(assets)({"kind": "tomorrow"}, {}))


def test_idf_equals_its_definition():
    statistics = CollectionStatistics(10, 0, np.array([0, 1, 10]))
    expected = [math.log(1 + 10.5 / 0.5), math.log(1 + 9.5 / 1.5), math.log(1 + 0.5 / 10.5)]
    np.testing.assert_allclose(inverse_document_frequency(statistics, 3), expected, rtol=1e-6)
    assert len(inverse_document_frequency(statistics, 5)) == 5
    assert len(inverse_document_frequency(statistics, 2)) == 2


class TestTablesOfModels:
    def test_json_weights_are_used_and_stay_when_a_collection_comes(
        self, pieces, collection, tmp_path
    ):
        path = tmp_path / "idf.json"
        path.write_text(json.dumps({"wing": 4.5, "layer": 0.0, "the": 0.125}))
        table = read_table(path, pieces)
        encoder = InferenceFreeQueryEncoder(pieces, DOCUMENT, table=table)
        encoder = encoder.with_statistics(collection[0])
        for candidate in (encoder, restore_encoder(encoder.assets())):
            vectors = candidate.encode_queries(["the wing layer of another wing"])
            assert {candidate.term(int(i)): float(w) for i, w in zip(*vectors.row(0), strict=True)
                    } == {"the": 0.125, "wing": 4.5}  # fmt: skip
        counted = InferenceFreeQueryEncoder(pieces, DOCUMENT, statistics=collection[0])
        assert encoder.fingerprint.query != counted.fingerprint.query

    def test_safetensors_weights(self, pieces, tmp_path):
        from safetensors.numpy import save_file

        weights = np.linspace(0, 9, pieces.n_terms, dtype=np.float32)
        save_file({"weight": weights}, tmp_path / "model.safetensors")
        np.testing.assert_array_equal(read_table(tmp_path / "model.safetensors", pieces), weights)
        save_file({"weight": weights[:7]}, tmp_path / "short.safetensors")
        with pytest.raises(ModelError, match="7 weights for 30522 pieces"):
            read_table(tmp_path / "short.safetensors", pieces)
        (tmp_path / "broken.safetensors").write_bytes(b"not tensors")
        with pytest.raises(ModelError, match="cannot be read as a table"):
            read_table(tmp_path / "broken.safetensors", pieces)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ('{"wing": 1%s}' % ("0" * 400), "the weight of 'wing' is 1000"),
            ('{"wing": 1e300}', "the weight of 'wing' is 1e[+]300"),
            ('{"wing": NaN}', "the weight of 'wing' is nan"),
            ('{"wing": -1.0}', "the weight of 'wing' is -1.0"),
            ('{"wing": 1e999}', "the weight of 'wing' is inf"),
            ('{"wing": "2"}', "expected a number from 0 to"),
            ('{"wing": true}', "expected a number from 0 to"),
            ('{"▁wing": 1, "▁layer": 2, "the": 3}', "belongs to another vocabulary"),
            ("{}", "belongs to another vocabulary"),
            ("[1]", "expected a JSON object"),
        ],
    )
    def test_bad_tables_are_refused(self, pieces, tmp_path, content, message):
        path = tmp_path / "idf.json"
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ModelError, match=message):
            read_table(path, pieces)


def test_over_a_neural_model_only_the_query_side_changes(tmp_path):
    pytest.importorskip("torch", reason="the document side needs the extra [torch]")
    folder = shared_path("models/splade-tiny")
    texts = [d.contents for d in open_corpus(shared_path("data/collections/cranfield"))][:6]
    encoder = load_encoder(folder, query_encoder="idf", max_length=64, device="cpu")
    vectors, statistics = encoder.encode_documents(texts)
    assert vectors.n_rows == statistics.n_docs == len(texts)
    assert vectors.nnz > statistics.document_frequency.sum()  # expanded

    encoder = encoder.with_statistics(statistics)
    restored = restore_encoder(encoder.assets())
    assert restored.fingerprint == encoder.fingerprint
    ours, theirs = (e.encode_queries(["wing in a slipstream"]) for e in (encoder, restored))
    assert {encoder.term(int(i)) for i in ours.indices} == {"wing", "in", "a", "slips", "##tream"}
    np.testing.assert_array_equal(ours.values, theirs.values)

    (tmp_path / "idf.json").write_text(json.dumps({"wing": 3.0, "in": 0.5}))
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    own_table = load_encoder(tmp_path, max_length=64, device="cpu")
    assert own_table.encode_queries(["wing in a slipstream"]).values.tolist() == [0.5, 3.0]
    with pytest.raises(UsageError, match="expected model or idf"):
        load_encoder(folder, query_encoder="magic")  # type: ignore[arg-type]


def test_answering_a_query_loads_no_neural_library(tokenizer_json, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json, encoding="utf-8")
    code = (
        "import sys, pathlib\n"
        "from lsr.encoders import restore_encoder\n"
        "from lsr.encoders.neural.inference_free import InferenceFreeQueryEncoder\n"
        "from lsr.encoders.neural.word_pieces import WordPieces\n"
        f"p = WordPieces(pathlib.Path({str(path)!r}).read_text(), max_length=256)\n"
        "s = p.count(['a wing'], p.encode(['a wing']))\n"
        "e = InferenceFreeQueryEncoder(p, {'kind': 'splade'}, statistics=s)\n"
        "assert restore_encoder(e.assets()).encode_queries(['the wing']).nnz == 2\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    run_python(code)
