"""Metadata fields: what was accepted can be merged, and what cannot be is refused at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsr.errors import DataError
from lsr_index import IndexWriter, build_index, open_index
from lsr_index.segment import metadata_columns
from lsr_index.update.verify import verify
from tests.index.collections import batch_of

LIMIT = 20


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_columns, "MAX_COLUMNS", LIMIT)


def with_fields(doc_id: str, start: int, stop: int, value: object = 1.5) -> object:
    batch = batch_of({doc_id: {1: 1.0}})
    return batch._replace(metadata=[{f"f{i}": value for i in range(start, stop)}])


@pytest.mark.parametrize("commits", [1, 2, 5])
@pytest.mark.parametrize("over", [0, 1])
def test_every_commit_that_was_accepted_can_be_merged(
    tmp_path: Path, commits: int, over: int
) -> None:
    build_index(tmp_path / "x", [batch_of({"a": {1: 1.0}})], n_terms=3).close()
    each = LIMIT // commits
    with IndexWriter(tmp_path / "x") as writer:
        for number in range(commits):
            writer.add(with_fields(f"d{number}", number * each, (number + 1) * each))
            writer.commit()
        if over:
            with pytest.raises(DataError, match=f"an index has at most {LIMIT} filterable fields"):
                writer.add(with_fields("over", LIMIT - 1, LIMIT + 1))
            with pytest.raises(DataError):  # the same field with values of another type
                writer.add(with_fields("over", 0, 1, "text"))
        writer.add(with_fields("again", 0, LIMIT))
        writer.commit()
        assert writer.compact()
    with open_index(tmp_path / "x") as index:
        assert index.n_docs == commits + 2
        assert len(index.select({"f0": 1.5})) == 2
    assert verify(tmp_path / "x", 3).ok


def test_pending_documents_count_and_rollback_forgets_them(tmp_path: Path) -> None:
    build_index(tmp_path / "x", [batch_of({"a": {1: 1.0}})], n_terms=3).close()
    with IndexWriter(tmp_path / "x") as writer:
        writer.add(with_fields("b", 0, LIMIT))
        with pytest.raises(DataError, match="at most"):
            writer.add(with_fields("c", LIMIT, LIMIT + 1))
        assert writer.n_pending == 1
        writer.rollback()
        writer.add(with_fields("c", LIMIT, 2 * LIMIT))
        assert writer.commit().n_docs == 2


def test_an_index_that_is_over_the_limit_already_can_be_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata_columns, "MAX_COLUMNS", 3 * LIMIT)
    build_index(tmp_path / "x", [batch_of({"a": {1: 1.0}})], n_terms=3).close()
    with IndexWriter(tmp_path / "x") as writer:
        for number in range(3):
            writer.add(with_fields(f"d{number}", number * LIMIT, (number + 1) * LIMIT))
            writer.commit()
    monkeypatch.setattr(metadata_columns, "MAX_COLUMNS", LIMIT)
    with IndexWriter(tmp_path / "x") as writer:
        assert writer.compact()
        writer.add(with_fields("e", 0, LIMIT))
        writer.commit()
        writer.compact()
    with open_index(tmp_path / "x") as index:
        assert len(index.select({f"f{3 * LIMIT - 1}": 1.5})) == 1
