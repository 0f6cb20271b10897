"""`Vocabulary`: ids, growth, fingerprint, and the forms it is stored in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import DataError, UsageError
from lsr.vocabulary import Vocabulary
from tests.shared import shared_path

term_lists = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True)


@given(term_lists)
def test_arrays_and_mapping_give_the_same_vocabulary_back(terms):
    vocabulary = Vocabulary(terms)
    text, offsets = vocabulary.to_arrays()
    assert text.dtype == np.uint8
    assert offsets.dtype == np.int64
    assert Vocabulary.from_arrays(text, offsets) == vocabulary
    assert Vocabulary.from_mapping(vocabulary.to_mapping()) == vocabulary
    for term_id, term in enumerate(terms):
        assert vocabulary.term(term_id) == term
        assert vocabulary.term_id(term) == term_id


@given(term_lists, term_lists)
def test_growth_keeps_ids_and_the_fingerprint_follows_the_terms(first, second):
    grown = Vocabulary(first)
    before = grown.fingerprint
    for term in second:
        grown.add(term)
    whole = Vocabulary(dict.fromkeys(first + second))
    assert grown.fingerprint == whole.fingerprint
    assert [grown.term_id(term) for term in first] == list(range(len(first)))
    assert (before == grown.fingerprint) == (len(grown) == len(first))


def test_fingerprint_tells_apart_terms_that_join_to_the_same_text():
    assert Vocabulary(["ab", "c"]).fingerprint != Vocabulary(["a", "bc"]).fingerprint


def test_duplicates_are_refused():
    with pytest.raises(DataError, match=r"'cat' has the ids 0 and 2"):
        Vocabulary(["cat", "dog", "cat"])
    with pytest.raises(DataError, match="share the id 1"):
        Vocabulary.from_mapping({"cat": 1, "dog": 1})


def test_gaps_have_no_term():
    vocabulary = Vocabulary.from_mapping({"cat": 0, "dog": 3}, size=6)
    assert len(vocabulary) == 6
    assert vocabulary.term(1) == vocabulary.term(5) == ""
    assert vocabulary.term_id("") is None
    assert vocabulary.to_mapping() == {"cat": 0, "dog": 3}
    assert Vocabulary.from_arrays(*vocabulary.to_arrays()) == vocabulary


@pytest.mark.parametrize(("ids", "size"), [({"cat": -1}, None), ({"cat": 5}, 5)])
def test_ids_outside_of_the_range_are_refused(ids, size):
    with pytest.raises(DataError, match="'cat' has the id"):
        Vocabulary.from_mapping(ids, size)


def test_a_huge_id_is_refused_before_anything_is_allocated():
    with pytest.raises(DataError, match="outside of 32 bits"):
        Vocabulary.from_mapping({"cat": 2**32})


def test_bad_terms_ids_and_arrays_are_refused():
    with pytest.raises(DataError, match="no valid Unicode"):
        Vocabulary(["\ud800"])
    with pytest.raises(DataError, match="must not be empty"):
        Vocabulary().add("")
    with pytest.raises(UsageError, match="has 1 terms"):
        Vocabulary(["cat"]).term(1)
    with pytest.raises(UsageError, match="term id -1"):
        Vocabulary(["cat"]).term(-1)
    with pytest.raises(DataError, match="offsets"):
        Vocabulary.from_arrays(np.zeros(3, np.uint8), np.array([0, 5]))
    with pytest.raises(DataError, match="not UTF-8"):
        Vocabulary.from_arrays(np.array([0xFF], np.uint8), np.array([0, 1]))


def test_tokenizer_json():
    path = shared_path("models/splade-tiny/tokenizer.json")
    vocabulary = Vocabulary.from_tokenizer(path)
    assert len(vocabulary) == 30522
    assert vocabulary.term(101) == "[CLS]"
    assert vocabulary.term(vocabulary.term_id("information")) == "information"


def test_what_is_no_tokenizer_is_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(DataError, match=r"tokenizer\.json: not a readable"):
        Vocabulary.from_tokenizer(path)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"tokenizer\.json: not a readable"):
        Vocabulary.from_tokenizer(path)
