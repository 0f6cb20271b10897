"""Vectors from elsewhere: vocabulary, queries looked up by text, and what cannot be done."""

import numpy as np
import pytest

from lsr.encoders import Encoder, load_encoder, restore_encoder
from lsr.encoders.precomputed import PrecomputedEncoder, read_vocabulary
from lsr.errors import DataError, UsageError
from lsr.records import DocumentBatch
from lsr.sparse import SparseBatch
from lsr.vectors import read_parquet, write_parquet
from lsr.vocabulary import Vocabulary
from tests.shared import shared_path


@pytest.fixture
def queries(tmp_path):
    rows = [{3: 1.5, 1: 0.25}, {}, {2: 2.0}]
    texts = ["wing flutter", "nothing", "heat"]
    batch = DocumentBatch(
        ["1", "2", "3"], SparseBatch.from_rows(rows), texts, [""] * 3, [{}, {}, {}]
    )
    write_parquet(tmp_path / "queries.parquet", [batch])
    return read_parquet(tmp_path / "queries.parquet", batch_docs=2)


def test_queries_are_looked_up_by_their_text(queries):
    encoder = PrecomputedEncoder(queries=queries)
    assert isinstance(encoder, Encoder)
    vectors = encoder.encode_queries(["heat", "wing flutter", "nothing", "heat"])
    assert list(np.diff(vectors.indptr)) == [1, 2, 0, 1]
    assert dict(zip(*map(np.ndarray.tolist, vectors.row(1)), strict=True)) == {1: 0.25, 3: 1.5}
    with pytest.raises(UsageError, match="no vector for the query 'cold'"):
        encoder.encode_queries(["heat", "cold"])
    assert encoder.encode_queries([]).n_rows == 0


def test_text_cannot_be_encoded():
    with pytest.raises(UsageError, match="no model to encode documents with"):
        load_encoder("precomputed").encode_documents(["text"])


def test_terms_are_the_vocabulary_or_digits(tmp_path):
    bare = load_encoder("precomputed")
    assert (bare.term(12), bare.term_id("12")) == ("12", 12)
    for no_term in ("x", "-1", "1.5", "4294967296", "²", ""):
        assert bare.term_id(no_term) is None

    (tmp_path / "terms.txt").write_text("wing\nheat\n", encoding="utf-8")
    named = load_encoder("precomputed", vocabulary=tmp_path / "terms.txt")
    assert (named.n_terms, named.term(1), named.term_id("wing")) == (2, "heat", 0)
    assert named.fingerprint.digest != bare.fingerprint.digest
    for encoder in (bare, named):
        restored = restore_encoder(encoder.assets())
        assert restored.fingerprint == encoder.fingerprint
        assert restored.term(1) == encoder.term(1)


def test_vocabularies_are_read_from_tokenizers_and_lists(tmp_path):
    vocabulary = read_vocabulary(shared_path("models/splade-tiny/tokenizer.json"))
    assert len(vocabulary) == 30522
    (tmp_path / "list.txt").write_text("a\nb\na\n", encoding="utf-8")
    with pytest.raises(DataError, match="'a' has the ids 0 and 2"):
        read_vocabulary(tmp_path / "list.txt")
    (tmp_path / "odd.txt").write_text("\ufeffa\u2028b\r\n\n\u00a0c \n", encoding="utf-8")
    assert list(read_vocabulary(tmp_path / "odd.txt")) == ["a\u2028b", "", "\u00a0c "]
    with pytest.raises(DataError, match="cannot be read"):
        read_vocabulary(tmp_path / "missing.txt")


def test_options_of_other_encoders_are_refused():
    with pytest.raises(UsageError, match="k1, max_length: not an option of the encoder precom"):
        load_encoder("precomputed", k1=1.0, max_length=3)
    assert PrecomputedEncoder(Vocabulary(["a"])).n_terms == 1
