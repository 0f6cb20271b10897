"""Collections of the `ir-datasets` catalogue, downloaded when they are first read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ir_datasets

from lsr.corpus.base import Corpus, ReadRules, Row
from lsr.corpus.fields import NO_METADATA, FieldNames
from lsr.errors import CorpusError, first_line
from lsr.records import Document


class IrDatasetsCorpus(Corpus):
    """Documents of a collection by its id, such as ``beir/scifact`` or ``msmarco-passage``.

    The text is a text field of `names`, else the default text of the library; other string fields
    become metadata.
    """

    kind = "ir-datasets"

    def __init__(self, dataset_id: str, names: FieldNames, rules: ReadRules) -> None:
        super().__init__(f"ir-datasets:{dataset_id}", rules)
        self.dataset_id = dataset_id
        self.names = names
        self._dataset = load_dataset(dataset_id)
        if not self._dataset.has_docs():
            raise CorpusError("this collection has no documents of its own", self.name)

    def count_hint(self) -> int | None:
        """Return the count in the catalogue."""
        count = (self._dataset.docs_metadata() or {}).get("count")
        return int(count) if count is not None else None

    def _rows(self) -> Iterator[Row]:
        for number, doc in enumerate(fetched(self.name, self._dataset.docs_iter), 1):
            yield Row(self.name, number, self._item(doc))

    def _item(self, doc: Any) -> Document | str:
        fields = doc._asdict()
        doc_id = str(fields.pop("doc_id"))
        fields = {name: value for name, value in fields.items() if isinstance(value, str)}
        text_name = next(filter(fields.__contains__, self.names.text), None)
        title_name = next(filter(fields.__contains__, self.names.title), None)
        text = fields.pop(text_name) if text_name else doc.default_text()
        title = fields.pop(title_name, "") if text_name and title_name else ""
        return Document(doc_id, text, title, fields or NO_METADATA)

    def _identity(self) -> list[Any]:
        return [self.dataset_id, ir_datasets.__version__, self.names.text, self.names.title]


class IrDatasetsQueries(Corpus):
    """Queries of a collection by its id, as documents of their default texts."""

    kind = "ir-datasets-queries"

    def __init__(self, dataset_id: str, rules: ReadRules) -> None:
        super().__init__(f"ir-datasets:{dataset_id}", rules)
        self.dataset_id = dataset_id
        self._dataset = load_dataset(dataset_id)
        if not self._dataset.has_queries():
            raise CorpusError("this collection has no queries of its own", self.name)

    def _rows(self) -> Iterator[Row]:
        for number, query in enumerate(fetched(self.name, self._dataset.queries_iter), 1):
            yield Row(self.name, number, Document(str(query.query_id), query.default_text()))

    def _identity(self) -> list[Any]:
        return [self.dataset_id, ir_datasets.__version__]


def load_dataset(dataset_id: str) -> Any:
    """Return a dataset of the catalogue; raise CorpusError for an unknown id."""
    try:
        return ir_datasets.load(dataset_id)
    except KeyError as error:
        raise CorpusError(
            "the ir-datasets catalogue has no collection of this id; "
            "see https://ir-datasets.com for those that there are",
            f"ir-datasets:{dataset_id}",
        ) from error


def read_judgments(name: str, dataset: Any) -> dict[str, dict[str, int]]:
    """Return the qrels of a dataset, {query id: {document id: grade}}; errors as in `fetched`."""
    qrels: dict[str, dict[str, int]] = {}
    for judgment in fetched(name, dataset.qrels_iter):
        grades = qrels.setdefault(str(judgment.query_id), {})
        grades[str(judgment.doc_id)] = int(judgment.relevance)
    return qrels


def fetched(name: str, start: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Yield records of a dataset; raise CorpusError if they cannot be downloaded or read."""
    try:
        yield from start()
    except CorpusError:
        raise
    except Exception as error:  # whatever the network, an archive or a parser raises
        raise CorpusError(
            f"the files of this collection are not on this machine and could not be fetched or "
            f"read ({first_line(error)[:200]}); check the network, or put them into the folder "
            "that IR_DATASETS_HOME names",
            name,
        ) from error
