"""Which documents pass a filter: evaluated once per filter, and remembered."""

from __future__ import annotations

import marshal
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from index.deletes import Words
from index.filters import Filter, parse_filter
from index.searchers import LiveBitmaps, Segments
from index.segment import SegmentReader

_KEPT = 32


class Passing(NamedTuple):
    """The documents that pass a filter: a bitmap for each segment, and what the kernels take."""

    words: list[Words]
    bitmaps: LiveBitmaps


class FilterCache:
    """The filters of late over the segments of one generation; safe from any thread.

    Parameters
    ----------
    segments : sequence of SegmentReader
    searchers : Segments
        The same, as the kernels take them.
    """

    def __init__(self, segments: Sequence[SegmentReader], searchers: Segments) -> None:
        self._segments = segments
        self._searchers = searchers
        self._mutex = threading.Lock()
        self._by_meaning: dict[Filter, Passing] = {}
        self._as_written: dict[bytes, Passing] = {}

    def __len__(self) -> int:
        return len(self._by_meaning)

    def find(self, filter: Any) -> Passing:
        """Return the documents that pass.

        Raises
        ------
        UsageError
            The filter is none.
        """
        written = _written(filter)
        found = self._as_written.get(written) if written is not None else None
        if found is not None:
            return found
        condition = parse_filter(filter)
        with self._mutex:
            found = self._by_meaning.get(condition)
        if found is None:
            words = [segment.passing(condition) for segment in self._segments]
            found = Passing(words, LiveBitmaps(self._searchers.searchers, words))
        with self._mutex:
            _keep(self._by_meaning, condition, found)
            if written is not None:
                _keep(self._as_written, written, found)
        return found


def _written(filter: Any) -> bytes | None:
    """A filter of plain values as bytes: made in a fraction of the time of parsing it."""
    try:
        return marshal.dumps(filter, 2)
    except ValueError:
        return None


def _keep(cache: dict[Any, Passing], key: Any, value: Passing) -> None:
    while len(cache) >= _KEPT:
        del cache[next(iter(cache))]
    cache[key] = value
