"""`SeenIds` behaves like a dictionary and is much smaller."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.duplicates import SeenIds


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3)))
def test_first_lines_equal_those_of_a_dictionary(ids):
    seen, oracle = SeenIds(), {}
    for line, doc_id in enumerate(ids, 1):
        assert seen.first_line(doc_id, line) == oracle.get(doc_id)
        oracle.setdefault(doc_id, line)
    assert len(seen) == len(oracle)


def test_it_grows_and_forgets_nothing():
    seen = SeenIds()
    for line in range(1, 50_001):
        assert seen.first_line(f"doc-{line}", line) is None
    for line in range(1, 50_001, 7):
        assert seen.first_line(f"doc-{line}", 99_999) == line
    bytes_held = sum(sys.getsizeof(getattr(seen, name)) for name in ("_high", "_low", "_lines"))
    assert bytes_held / 50_000 < 80
