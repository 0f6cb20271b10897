"""Queries and judgments of ir-datasets.

The library downloads data on first use. Its log lines are suppressed, and its failures (no network,
a licence that has to be accepted, no disk space) become one-line errors.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lsr.corpus.ir_collection import read_judgments
from lsr.corpus.opening import IR_DATASETS_PREFIX as PREFIX
from lsr.corpus.queries import open_queries
from lsr.errors import UsageError
from lsr.records import Query
from lsr.trec.qrels import Qrels


def resolve(name: str, split: str | None) -> str:
    """Return the id of a data set with queries and judgments.

    `split` is appended as the last part when the id itself has no judgments (``beir/scifact``).

    Raises
    ------
    UsageError
        When there is no such id, or none with judgments; lists the ids below it that have some.
    """
    bare = name.removeprefix(PREFIX).strip("/")
    dataset = _lookup(bare)
    if dataset is None:
        raise UsageError(
            f"{name}: neither a folder nor an id of ir-datasets; expected a folder with "
            "corpus.jsonl, queries.jsonl and qrels/, or an id such as beir/scifact/test "
            "(https://ir-datasets.com lists them)"
        )
    if _evaluable(dataset):
        return bare
    import ir_datasets

    below = [other for other in ir_datasets.registry if other.startswith(f"{bare}/")]
    with_qrels = [other for other in below if _evaluable(_lookup(other))]
    if split is not None and f"{bare}/{split}" in with_qrels:
        return f"{bare}/{split}"
    choices = ", ".join(sorted(with_qrels)) or "none"
    raise UsageError(f"ir-datasets:{bare} has no judgments; ids below it that have: {choices}")


def load(dataset_id: str) -> tuple[list[Query], Qrels]:
    """Return the queries and judgments of a data set, downloading them when needed.

    Raises
    ------
    CorpusError
        When they cannot be loaded: no network, no disk space, a licence to be accepted first.
    """
    name = PREFIX + dataset_id
    with _quiet():
        return list(open_queries(name)), read_judgments(name, _lookup(dataset_id))


def _lookup(dataset_id: str) -> Any:
    import ir_datasets

    try:
        return ir_datasets.load(dataset_id)
    except KeyError:
        return None


def _evaluable(dataset: Any) -> bool:
    return bool(dataset.has_docs() and dataset.has_queries() and dataset.has_qrels())


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the log lines of ir-datasets; progress bars of downloads still show."""
    import ir_datasets

    logger = ir_datasets.log.easy().logger()
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
