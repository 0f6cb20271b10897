"""`CompositeEncoder`: several encoders whose vectors stand side by side in one, for one search.

The score is the weighted sum of the scores of the parts. With BM25 as a part, exact words count
beside what a network learned, which keeps a small network useful on texts unlike those it was
trained on. Weights are applied to queries, so they can change without encoding a document again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from lsr.encoders.base import (
    CollectionStatistics,
    EncodedDocuments,
    Encoder,
    EncoderAssets,
    Fingerprint,
    QueryEncoder,
)
from lsr.encoders.composite.files import load_parts
from lsr.encoders.composite.parts import (
    KIND,
    Part,
    assets_of_part,
    check_parts,
    parts_of,
    ranges_of,
)
from lsr.encoders.composite.term_ranges import TermRanges
from lsr.encoders.registry import restore_document_encoder, restore_encoder, statistics_of
from lsr.sparse import SparseBatch


class CompositeQueryEncoder(QueryEncoder):
    """The query side of a composite: its parts, and the ranges of their term ids."""

    def __init__(self, parts: Sequence[Part[Any]], ranges: TermRanges) -> None:
        self.parts = list(parts)
        self.ranges = ranges

    @property
    def fingerprint(self) -> Fingerprint:
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


class CompositeEncoder(CompositeQueryEncoder, Encoder):
    """Documents and queries through several encoders.

    Raises UsageError for no part, or when another part than the last has a growing vocabulary.
    """

    def __init__(self, parts: Sequence[Part[Encoder]]) -> None:
        check_parts(parts)
        super().__init__(parts, TermRanges([part.encoder.n_terms for part in parts[:-1]]))

    @classmethod
    def load(cls, name: str, folder: Path | None, **options: Any) -> CompositeEncoder:
        assert folder is not None
        return cls(load_parts(name, folder, options))

    @classmethod
    def restore(cls, assets: EncoderAssets) -> CompositeQueryEncoder:
        return CompositeQueryEncoder(*parts_of(assets, restore_encoder))

    @classmethod
    def restore_documents(cls, assets: EncoderAssets) -> CompositeEncoder:
        parts, _ = parts_of(assets, restore_document_encoder)
        return cls(parts)

    @classmethod
    def stored_statistics(cls, assets: EncoderAssets) -> CollectionStatistics | None:
        parts = range(len(assets.config["parts"]))
        found = [statistics_of(assets_of_part(assets, number)) for number in parts]
        if all(one is None for one in found):
            return None
        ranges = ranges_of(assets)
        return ranges.join_counts([one or CollectionStatistics() for one in found])

    @property
    def n_terms(self) -> int:
        return self.ranges.starts[-1] + int(self.parts[-1].encoder.n_terms)

    def encode_documents(self, texts: Sequence[str]) -> EncodedDocuments:
        encoded = [part.encoder.encode_documents(texts) for part in self.parts]
        return EncodedDocuments(
            self.ranges.join([one.vectors for one in encoded], [1.0] * len(encoded)),
            self.ranges.join_counts([one.statistics for one in encoded]),
        )

    def finish_documents(
        self, vectors: SparseBatch, statistics: CollectionStatistics
    ) -> SparseBatch:
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

    def with_statistics(self, statistics: CollectionStatistics) -> Self:
        counts = self.ranges.split_counts(statistics)
        return type(self)(
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
        state: bytes | None = self.parts[-1].encoder.state()
        return state

    def load_state(self, state: bytes) -> None:
        self.parts[-1].encoder.load_state(state)
