"""Passages: nothing is lost, none is too large, cuts fall on the best boundary there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.passages import (
    Passage,
    Section,
    count_words,
    pack,
    passage_id,
    split_sections,
    with_shrunk_sources,
)
from lsr.records import Document

words = st.lists(
    st.sampled_from(["alpha", "Beta", "gamma.", "Delta!", "3.14", "epsilon,", "第一。", "it's"]),
    min_size=1,
    max_size=60,
)


@given(st.lists(words.map(" ".join), max_size=6), st.integers(1, 30))
def test_all_words_survive_in_order_in_pieces_of_bounded_size(paragraphs, max_words):
    pieces = pack(paragraphs, max_words)
    assert "".join("".join(pieces).split()) == "".join("".join(paragraphs).split())
    assert all(piece.strip() for piece in pieces)
    assert all(count_words(piece) <= 1.25 * max_words for piece in pieces)
    total = sum(map(count_words, paragraphs))
    if total <= max_words:
        assert len(pieces) == min(1, len(paragraphs))


def test_short_paragraphs_are_packed_and_stay_paragraphs():
    assert pack(["a b", "c d", "e f"], 4) == ["a b\n\nc d", "e f"]


def test_a_long_paragraph_is_cut_between_sentences():
    text = "One two three. Four five six? Seven eight nine! Ten e.g. eleven."
    assert pack([text], 7) == [
        "One two three. Four five six?",
        "Seven eight nine! Ten e.g. eleven.",
    ]


def test_a_long_sentence_is_cut_between_words():
    assert pack([" ".join("abcdefgh")], 3) == ["a b c", "d e f", "g h"]


def test_a_small_rest_joins_the_piece_before():
    assert pack(["a b c d e f g h", "i"], 8) == ["a b c d e f g h\n\ni"]
    assert pack(["a b c d e f g h", "i j"], 8) == ["a b c d e f g h", "i j"]


def test_scripts_without_spaces_count_by_character():
    assert count_words("東京は日本の首都です") == 10
    assert count_words("Tokyo 東京, it's") == 4
    assert pack(["第一文です。第二文です。"], 5) == ["第一文です。", "第二文です。"]


def test_passages_never_cross_a_heading():
    sections = [Section(("A",), ["x"]), Section(("A", "B"), ["", "y", "z"]), Section(("C",), [])]
    assert list(split_sections(sections, 100)) == [
        Passage(("A",), "x"),
        Passage(("A", "B"), "y\n\nz"),
        Passage(("C",), ""),
    ]
    long = [Section((), ["word " * 500])]
    assert len(list(split_sections(long, None))) == 1
    assert len(list(split_sections(long, 200))) == 3


SIZES = st.dictionaries(st.sampled_from(["a.md", "b#2", "c#", "d/e.txt"]), st.integers(1, 4))


def ids_of(sizes):
    return [passage_id(name, n + 1) for name, size in sizes.items() for n in range(size)]


@given(SIZES, SIZES)
def test_passages_of_an_older_version_go(before, after):
    index = set(ids_of(before))

    def delete(doc_id):
        was_there = doc_id in index
        index.discard(doc_id)
        return was_there

    for document in with_shrunk_sources((Document(i, "x") for i in ids_of(after)), delete):
        index.add(document.id)
    assert index == set(ids_of(before | after))


@pytest.mark.parametrize("character", ["x", "ж", "茶", "ไ", "’"])
def test_a_word_of_millions_of_characters_is_one_word(character):
    n = 8_000_000 if character in "xж’" else 100_000
    assert count_words(character * n) == (1 if character in "xж’" else n)
