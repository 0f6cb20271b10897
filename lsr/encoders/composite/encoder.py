"""Several encoders as one: their vectors side by side in one, searched in one pass.

The score of a composite is the weighted sum of the scores of its parts. With BM25 as a part,
evidence of exact words stands beside what a network learned, which keeps a small network useful on
texts unlike those it was trained on. Weights are applied to queries, so they can be changed without
encoding a document again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

from lsr.encoders.base import (
    CollectionStatistics,
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
    QueryEncoder,
)
from lsr.encoders.composite.term_ranges import TermRanges
from lsr.errors import IndexFormatError, UsageError
from lsr.sparse import SparseBatch

KIND = "composite"

Side = TypeVar("Side", bound=QueryEncoder)


class Part(NamedTuple, Generic[Side]):
    """An encoder of a composite.

    Attributes
    ----------
    encoder : QueryEncoder
        An `Encoder` in a composite that encodes documents.
    weight : float
        Of its scores, greater than 0.
    mark : str
        Put in front of its terms where people read them; no two parts have the same.
    """

    encoder: Side
    weight: float = 1.0
    mark: str = ""


class CompositeQueryEncoder:
    """The query side of a composite.

    Parameters
    ----------
    parts : sequence of Part
    ranges : TermRanges
        Where their terms are.
    """

    def __init__(self, parts: Sequence[Part[Any]], ranges: TermRanges) -> None:
        self.parts = list(parts)
        self.ranges = ranges

    @classmethod
    def from_assets(
        cls, assets: EncoderAssets, restore: Callable[[EncoderAssets], QueryEncoder]
    ) -> CompositeQueryEncoder:
        """Restore the query side of an index.

        Parameters
        ----------
        assets : EncoderAssets
        restore : callable
            Makes a part's encoder of that part's assets.
        """
        return cls(*parts_of(assets, restore))

    @property
    def fingerprint(self) -> Fingerprint:
        """Those of all parts, in order."""
        found = [part.encoder.fingerprint for part in self.parts]
        document = {
            "kind": KIND,
            "parts": [dict(one.document) for one in found],
            "starts": list(self.ranges.starts),
        }
        queries = [
            {**one.query, "weight": part.weight}
            for one, part in zip(found, self.parts, strict=True)
        ]
        return Fingerprint(document, {"kind": KIND, "parts": queries})

    def encode_queries(self, texts: Sequence[str]) -> SparseBatch:
        """Encode queries with every part; the weights of the parts are multiplied in."""
        return self.ranges.join(
            [part.encoder.encode_queries(texts) for part in self.parts],
            [part.weight for part in self.parts],
        )

    def term(self, term_id: int) -> str:
        """Return the term behind an id, with the mark of its part."""
        number = self.ranges.part_of(term_id)
        part = self.parts[number]
        term: str = part.encoder.term(term_id - self.ranges.starts[number])
        return part.mark + term

    def term_id(self, term: str) -> int | None:
        """Return the id of a term, given with the mark of its part."""
        marked = sorted(enumerate(self.parts), key=lambda entry: -len(entry[1].mark))
        for number, part in marked:
            if term.startswith(part.mark):
                found: int | None = part.encoder.term_id(term.removeprefix(part.mark))
                if found is not None:
                    return found + self.ranges.starts[number]
        return None


class CompositeEncoder(CompositeQueryEncoder):
    """Documents and queries through several encoders.

    Parameters
    ----------
    parts : sequence of Part
        At least one. Only the last may have a vocabulary that grows.

    Raises
    ------
    UsageError
        Parts that cannot stand together.
    """

    def __init__(self, parts: Sequence[Part[Encoder]]) -> None:
        _check(parts)
        super().__init__(parts, TermRanges([part.encoder.n_terms for part in parts[:-1]]))

    @property
    def n_terms(self) -> int:
        """Size of all vocabularies together, so far."""
        return self.ranges.starts[-1] + int(self.parts[-1].encoder.n_terms)

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        """Encode documents with every part."""
        encoded = [part.encoder.encode_documents(texts) for part in self.parts]
        return EncodedDocuments(
            self.ranges.join([one.vectors for one in encoded], [1.0] * len(encoded)),
            self.ranges.join_counts([one.statistics for one in encoded]),
        )

    def finish_documents(
        self, vectors: SparseBatch, statistics: CollectionStatistics
    ) -> SparseBatch:
        """Let every part finish its own entries."""
        finished = [
            part.encoder.finish_documents(own, counts)
            for part, own, counts in zip(
                self.parts,
                self.ranges.split(vectors),
                self.ranges.split_counts(statistics),
                strict=True,
            )
        ]
        return self.ranges.join(finished, [1.0] * len(finished))

    def with_statistics(self, statistics: CollectionStatistics) -> CompositeEncoder:
        """Return this composite with every part's queries weighted by its own counts."""
        counts = self.ranges.split_counts(statistics)
        return CompositeEncoder(
            [
                part._replace(encoder=part.encoder.with_statistics(own))
                for part, own in zip(self.parts, counts, strict=True)
            ]
        )

    def assets(self) -> EncoderAssets:
        """Return the assets of all parts; the names of arrays begin with the part's number."""
        kept = [part.encoder.assets() for part in self.parts]
        described = [
            {"config": dict(one.config), "weight": part.weight, "mark": part.mark}
            for one, part in zip(kept, self.parts, strict=True)
        ]
        arrays = {
            f"{number}.{name}": array
            for number, one in enumerate(kept)
            for name, array in one.arrays.items()
        }
        config = {"kind": KIND, "parts": described, "starts": list(self.ranges.starts)}
        return EncoderAssets(config, arrays)

    def state(self) -> bytes | None:
        """Return what grew in the last part: the others may not grow."""
        state: bytes | None = self.parts[-1].encoder.state()
        return state

    def load_state(self, state: bytes) -> None:
        """Hand a saved state to the last part."""
        self.parts[-1].encoder.load_state(state)


def parts_of(
    assets: EncoderAssets, restore: Callable[[EncoderAssets], Side]
) -> tuple[list[Part[Side]], TermRanges]:
    """Return the parts that assets describe.

    Raises
    ------
    IndexFormatError
        The description makes no sense.
    """
    starts, described = assets.config["starts"], assets.config["parts"]
    if not starts or len(starts) != len(described):
        raise IndexFormatError(
            "the encoder stored in the index is a composite whose parts do not fit each other; "
            "index the corpus again"
        )
    parts = [
        Part(restore(assets_of_part(assets, number)), float(one["weight"]), str(one["mark"]))
        for number, one in enumerate(described)
    ]
    return parts, TermRanges(_sizes(starts))


def statistics_of_parts(
    assets: EncoderAssets, of_part: Callable[[EncoderAssets], CollectionStatistics | None]
) -> CollectionStatistics | None:
    """Return the counts that queries of a composite depend on; None when none of its parts does."""
    found = [of_part(assets_of_part(assets, i)) for i in range(len(assets.config["parts"]))]
    if all(one is None for one in found):
        return None
    ranges = TermRanges(_sizes(assets.config["starts"]))
    return ranges.join_counts([one or CollectionStatistics() for one in found])


def assets_of_part(assets: EncoderAssets, number: int) -> EncoderAssets:
    """Return the assets of one part of a composite."""
    prefix = f"{number}."
    config: Mapping[str, Any] = assets.config["parts"][number]["config"]
    own = {
        name.removeprefix(prefix): array
        for name, array in assets.arrays.items()
        if name.startswith(prefix)
    }
    return EncoderAssets(config, own)


def _sizes(starts: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise(starts)]


def _check(parts: Sequence[Part[Encoder]]) -> None:
    if not parts:
        raise UsageError("a composite needs at least one encoder")
    marks = [part.mark for part in parts]
    if len(set(marks)) < len(marks):
        raise UsageError(f"the parts of a composite are marked {marks}: give each its own mark")
    for part in parts:
        if not 0 < part.weight < float("inf"):
            raise UsageError(f"a part of a composite has the weight {part.weight}: expected > 0")
    for part in parts[:-1]:
        if part.encoder.state() is not None:
            raise UsageError(
                "only the last encoder of a composite may have a vocabulary that grows; "
                f"put {part.encoder.fingerprint.document['kind']} last"
            )
