"""One way to search for the commands, whether of one branch or of several."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lsr_service.cli import options
from lsr_service.cli.hybrid_options import HybridOptions

if TYPE_CHECKING:
    from lsr_index.hybrid import HybridRetriever
    from lsr_index.hybrid.text_index import Retriever, SearchAnswer
    from lsr_service.http.models import SearchResponse


class Found(NamedTuple):
    """The hits of one query, ids and scores."""

    ids: list[str]
    scores: list[float]


class Page(NamedTuple):
    """Which hits are wanted: `k` of them after the first `offset`, of what passes the filter."""

    k: int
    offset: int = 0
    filter: Any = None


class Searcher(Protocol):
    """Searches texts."""

    def answer(self, text: str, page: Page, *, explain: bool) -> SearchAnswer:
        """Return the hits of one text."""

    def run(self, texts: Sequence[str], page: Page, *, threads: int) -> list[Found]:
        """Return the hits of many texts."""

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that no document of the index can match."""

    def response(self, name: str, answer: SearchAnswer) -> SearchResponse:
        """Return an answer as HTTP gives it."""

    def close(self) -> None:
        """Release the files."""


def open_searcher(path: Path, encoder: str | None, chosen: HybridOptions) -> Searcher:
    """Open what the options ask for."""
    from lsr_index.hybrid import open_branches
    from lsr_index.hybrid.text_index import Retriever

    queries = None if encoder is None else options.encoder_of(encoder)
    if chosen.plain:
        return _Plain(Retriever.open(path, encoder=queries))
    hybrid = open_branches(path, chosen.also, encoder=queries)
    return _Hybrid(hybrid, chosen.mode.value, chosen.arguments(hybrid))


class _Plain:
    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def answer(self, text: str, page: Page, *, explain: bool) -> SearchAnswer:
        return self._retriever.search(
            text, page.k, offset=page.offset, explain=explain, filter=page.filter
        )

    def run(self, texts: Sequence[str], page: Page, *, threads: int) -> list[Found]:
        found = self._retriever.search_batch(texts, page.k, threads=threads, filter=page.filter)
        return [Found(hits.ids, hits.scores.tolist()) for hits in found]

    def unknown_words(self, text: str) -> list[str]:
        from lsr.analysis.segmentation import normalise, words

        distinct = list(dict.fromkeys(words(normalise(text))))
        return [word for word in distinct if not self._retriever.search(word, 1).hits]

    def response(self, name: str, answer: SearchAnswer) -> SearchResponse:
        from lsr_service.http.answers import search_response

        return search_response(name, self._retriever, answer)

    def close(self) -> None:
        self._retriever.close()


class _Hybrid:
    def __init__(self, hybrid: HybridRetriever, mode: str, arguments: dict[str, Any]) -> None:
        self._hybrid = hybrid
        self._mode = mode
        self._arguments = arguments

    def answer(self, text: str, page: Page, *, explain: bool) -> SearchAnswer:
        return self._hybrid.search(
            text,
            page.k,
            offset=page.offset,
            explain=explain,
            filter=page.filter,
            **self._arguments,
        )

    def run(self, texts: Sequence[str], page: Page, *, threads: int) -> list[Found]:
        def one(text: str) -> Found:
            ranking = self._hybrid.rank(text, page.k, filter=page.filter, **self._arguments)
            return Found(ranking.ids, ranking.scores.tolist())

        with ThreadPoolExecutor(threads, "lsr-search") as pool:
            return list(pool.map(one, texts))

    def unknown_words(self, text: str) -> list[str]:
        return []  # a dense branch knows no words

    def response(self, name: str, answer: SearchAnswer) -> SearchResponse:
        from lsr_index.hybrid import HybridAnswer
        from lsr_service.http.answers import hybrid_response

        assert isinstance(answer, HybridAnswer)
        return hybrid_response(name, self._mode, self._hybrid.branches[0].index, answer)

    def close(self) -> None:
        self._hybrid.close()
