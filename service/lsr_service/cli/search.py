"""What the options of a search command ask for, applied to a `Retriever`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lsr_service.cli.encoder_options import NO_OPTIONS
from lsr_service.cli.hybrid_options import HybridOptions

if TYPE_CHECKING:
    from lsr_index.hybrid import RankedIds, SearchResults
    from lsr_service.http.models import SearchResponse


class Page(NamedTuple):
    """Which hits are wanted: `k` of them after the first `offset`, of what passes the filter."""

    k: int
    offset: int = 0
    filter: Any = None


class Searcher:
    """Searches texts as the options say.

    Parameters
    ----------
    path : Path
    encoder : str or None
        Of queries, instead of the stored one.
    chosen : HybridOptions

    Raises
    ------
    LsrError
        No index, another encoder, or what `HybridOptions.arguments` raises.
    """

    def __init__(self, path: Path, encoder: str | None, chosen: HybridOptions) -> None:
        from lsr_index.hybrid import Retriever

        queries = None if encoder is None else NO_OPTIONS.encoder(encoder)
        self._retriever = Retriever.open(path, chosen.also, encoder=queries)
        self._plain = chosen.plain
        self._arguments = chosen.arguments(self._retriever)

    def answer(self, text: str, page: Page, *, explain: bool) -> SearchResults:
        """Return the hits of one text."""
        return self._retriever.search(
            text, page.k, offset=page.offset, explain=explain, filter=page.filter, **self._arguments
        )

    def run(self, texts: Sequence[str], page: Page, *, threads: int) -> list[RankedIds]:
        """Return the hits of many texts, ids and scores."""
        return self._retriever.search_batch(
            texts, page.k, threads=threads, filter=page.filter, **self._arguments
        )

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that no document of the index can match."""
        if not self._plain:
            return []  # a dense branch knows no words
        from lsr.analysis.segmentation import normalise, segments, words

        pieces = segments(normalise(text))
        distinct = list(dict.fromkeys(word for piece in pieces for word in words(piece)))
        return [word for word in distinct if not self._retriever.search(word, 1)]

    def response(self, name: str, answer: SearchResults) -> SearchResponse:
        """Return an answer as HTTP gives it."""
        from lsr_service.http.answers import search_response

        return search_response(name, self._retriever.index, answer, plain=self._plain)

    def close(self) -> None:
        """Release the files."""
        self._retriever.close()
