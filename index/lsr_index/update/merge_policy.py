"""Choice of segments to merge.

Segments stay in the order of their documents, so only neighbours are merged. The policy is tiered:
sizes are put on a logarithmic scale, and a run of enough neighbours on one step or below becomes
one segment, unless one of them is larger than all others together. A document is then rewritten
about once per step, however many commits there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lsr_index.storage.manifest import SegmentEntry


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """When segments are merged.

    `factor` neighbours of similar size become one segment of at most `max_docs` documents; sizes up
    to `floor_docs` count as equal. A segment with more than `max_deleted` of its documents deleted
    is rewritten by itself.
    """

    factor: int = 8
    floor_docs: int = 2000
    max_deleted: float = 0.4
    max_docs: int = 1 << 30

    def choose(self, segments: Sequence[SegmentEntry]) -> range | None:
        """Return which neighbours to merge next, or None."""
        steps = [self._step(segment) for segment in segments]
        for step in sorted(set(steps)):
            start = 0
            for at in range(len(segments) + 1):
                if at < len(segments) and steps[at] <= step:
                    continue
                if at - start >= self.factor and self._pays(segments[start:at]):
                    return range(start, at)
                start = at + 1
        for at, segment in enumerate(segments):
            if segment.n_deleted > self.max_deleted * segment.n_docs:
                return range(at, at + 1)
        return None

    def _step(self, segment: SegmentEntry) -> int:
        return math.ceil(math.log(max(1.0, segment.n_live / self.floor_docs), self.factor))

    def _pays(self, segments: Sequence[SegmentEntry]) -> bool:
        sizes = [max(segment.n_live, self.floor_docs) for segment in segments]
        return 2 * max(sizes) <= sum(sizes) <= self.max_docs
