"""The analyser: word boundaries, folding, stop words, stemming; and counting, against a count."""

import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lsr.analysis import Analyzer, TermCounter, counting, language_of, languages
from lsr.analysis.analyzer import _ISO_639
from lsr.analysis.segmentation import MAX_WORD_CHARS, normalise, segments
from lsr.analysis.stopwords import ENGLISH
from lsr.corpus import open_corpus
from lsr.errors import UsageError
from lsr.vocabulary import Vocabulary
from tests.shared import shared_path

PLAIN = Analyzer("none", accents="keep")
ENGLISH_ANALYZER = Analyzer()
mixed_texts = st.text(
    st.one_of(
        st.sampled_from("aAbBzZ09 ._:'’-,\t\néßİıŁﬁ½日本ไทยहिन्दी\u00ad\u200b\u0301👍"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The quick (“brown”) fox can't jump 32.3 feet, right?",
         ["the", "quick", "brown", "fox", "can't", "jump", "32.3", "feet", "right"]),
        ("os.path.join read_file a::b", ["os", "path", "join", "read", "file", "a", "b"]),
        ("U.S.A. e.g. 1,000.50 B12 x²", ["usa", "eg", "1,000.50", "b12", "x2"]),
        ("STRASSE Straße ﬁne Ｗｉｄｅ", ["strasse", "strasse", "fine", "wide"]),
        ("infor\u00admation zero\u200bwidth\ufeff", ["information", "zero", "width"]),
        ("日本語 カタカナ", ["日", "本", "語", "カタカナ"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("dog’s ʼtis", ["dog's", "tis"]),
        (" \t\n… — !? 👍🏽 ", []),
        ("", []),
    ],
)  # fmt: skip
def test_words_of_known_texts(text, terms):
    assert PLAIN.terms(text) == terms


@given(mixed_texts)
@example("don't. (U.S.) a_b's")
def test_cutting_at_white_space_first_gives_the_words_of_the_whole_text(text):
    # U+202F is white space to Python, and joins numbers in UAX #29.
    text = text.replace("\u202f", " ")
    whole = [t for segment in segments(normalise(text)) for t in PLAIN._segment_terms(segment)]
    assert PLAIN.terms(text) == whole


@given(st.text(st.sampled_from("abcXYZ'.,-_()!19"), max_size=12))
def test_the_short_way_for_plain_words_agrees_with_the_long_one(chunk):
    long_way = [
        term
        for segment in segments(ENGLISH_ANALYZER._normalise(chunk))
        for term in ENGLISH_ANALYZER._segment_terms(segment)
    ]
    assert list(ENGLISH_ANALYZER.chunk_terms(chunk)) == long_way


@given(mixed_texts)
def test_terms_are_clean_and_analysing_them_again_finds_words(text):
    for term in PLAIN.terms(text):
        assert term == term.casefold()
        assert 0 < len(term) <= MAX_WORD_CHARS
        term.encode()


def test_english_drops_stop_words_and_stems():
    assert ENGLISH_ANALYZER.terms("The effects of running, and they're not what we'd measured") == [
        "effect", "run", "measur",
    ]  # fmt: skip
    assert ENGLISH_ANALYZER.terms("naïve cafés in Łódź") == ["naiv", "cafe", "lodz"]
    assert ENGLISH_ANALYZER.terms("us U.S. US") == ["us"]  # the abbreviation only


def test_stop_words_are_words_the_analyser_can_meet():
    for word in ENGLISH:
        assert PLAIN.terms(word) == [word]


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        ("french", "L’avion qu'il conduit aujourd’hui", ["avion", "il", "conduit", "aujourd'hui"]),
        ("german", "Häuser GROẞE", ["haus", "gross"]),
        ("turkish", "İSTANBUL KIRMIZI", ["istanbul", "kırmız"]),
        ("catalan", "L'home", ["hom"]),
        ("spanish", "canciones canción", ["cancion", "cancion"]),
        ("greek", "λόγος ΛΌΓΟΣ", ["λογ", "λογ"]),
        ("russian", "книгами", ["книг"]),
    ],
)
def test_other_languages(language, text, terms):
    assert Analyzer(language).terms(text) == terms


@pytest.mark.parametrize("language", languages())
def test_every_language_is_restored_from_its_parameters(language):
    analyzer = Analyzer(language, stopwords=["Straße", "the"])
    again = Analyzer.from_parameters(analyzer.parameters)
    assert again.fingerprint == analyzer.fingerprint
    assert again.terms("Walking THE strasse, 日本 книгами") == analyzer.terms(
        "Walking THE strasse, 日本 книгами"
    )
    assert "the" not in again.terms("the")


def test_every_parameter_is_in_the_fingerprint():
    variants = [
        Analyzer(),
        Analyzer("german"),
        Analyzer(accents="keep"),
        Analyzer(stopwords=[]),
        Analyzer(stopwords=["a"]),
    ]
    assert len({str(variant.fingerprint) for variant in variants}) == len(variants)


def test_bad_parameters_are_refused():
    with pytest.raises(UsageError, match=r"expected one of arabic \(ar\), .*english \(en\)"):
        Analyzer("klingon")
    with pytest.raises(UsageError, match="expected fold or keep"):
        Analyzer(accents="strip")  # type: ignore[arg-type]


def test_several_threads_get_the_same_terms():
    words = [f"{stem}{ending}" for stem in ("connect", "relat", "hop") for ending in
             ("ing", "ed", "ion", "ions", "ional", "s", "er", "ers")] * 50  # fmt: skip
    expected = [Analyzer().terms(word) for word in words]
    shared = Analyzer()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(shared.terms, words)) == expected


def test_a_chunk_of_megabytes_takes_seconds_and_bounded_memory():
    analyzer = Analyzer()
    for blob in ("x" * (2 << 20), "日" * (1 << 18), "a." * (1 << 19), "\u0301" * (1 << 18)):
        started = time.process_time()
        terms = analyzer.terms(blob)
        assert time.process_time() - started < 5
        assert max(map(len, terms), default=0) <= MAX_WORD_CHARS


@given(st.lists(mixed_texts, max_size=6), st.integers(1, 20))
def test_counts_equal_a_plain_count_whatever_is_forgotten_between(texts, remembered):
    vocabulary, analyzer = Vocabulary(), Analyzer(stopwords=["a"])
    counter = TermCounter(analyzer, vocabulary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_CACHED_CHUNKS", remembered)
        for batch in (texts, texts[::-1], texts):
            counts = counter.count(batch)
            assert counts.n_rows == len(batch)
            for row, text in enumerate(batch):
                ids, frequencies = counts.row(row)
                assert (np.diff(ids.astype(np.int64)) > 0).all()
                found = {vocabulary.term(int(i)): f for i, f in zip(ids, frequencies, strict=True)}
                assert found == Counter(analyzer.terms(text))
    in_order = dict.fromkeys(term for text in texts for term in analyzer.terms(text))
    assert list(vocabulary) == list(in_order)


def test_real_passages_are_counted_fast_and_in_bounded_memory(monkeypatch):
    corpus = open_corpus(shared_path("data/collections/wikiqa"))
    texts = [document.contents for document in corpus]
    counter = TermCounter(Analyzer(), Vocabulary())
    started = time.process_time()
    for start in range(0, len(texts), 512):
        counter.count(texts[start : start + 512])
    rate = len(texts) / (time.process_time() - started)
    assert rate > 4000, f"{rate:.0f} passages per second"

    monkeypatch.setattr(counting, "_CACHED_CHUNKS", 1000)
    counter = TermCounter(Analyzer(), Vocabulary())
    counter.count(texts[:512])
    tracemalloc.start()
    try:
        for start in range(0, 4096, 512):
            counter.count(texts[start : start + 512])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("code", "name"), [("de", "german"), ("DE", "german"), (" en ", "english"), ("nb", "norwegian")]
)
def test_a_language_has_its_iso_code(code, name):
    assert language_of(code) == name
    assert Analyzer(code).parameters == Analyzer(name).parameters


def test_every_language_has_a_code_and_every_code_a_language():
    codes = {language_of(code) for code in _ISO_639 if _ISO_639[code] in languages()}
    assert codes == set(languages()) - {"none", "porter", "dutch_porter"}
    with pytest.raises(UsageError, match=r"'xx'.*german \(de\)"):
        language_of("xx")
