"""PISA, through the native module of pyterrier-pisa, without PyTerrier's pipelines and Java.

The uncompressed collection is written in PISA's format, so that the time to build does not include
one Python dictionary per document.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_eval.bench.engines.base import Engine, Params, quantised_weights

ENCODING = "block_simdbp"
BLOCK_SIZE = 40
QUERY_SCALE = 100.0
"""Scale of query weights, which become repetitions of the term; the default of pyterrier-pisa."""


class Pisa(Engine):
    """An index with 8-bit impacts, block_simdbp, blocks of 40."""

    def build(self, docs: Any, folder: Path, params: Params) -> None:
        """Write the inverted collection, then let PISA compress it and compute its bounds."""
        from pyterrier_pisa import _pisathon

        _write_collection(folder, docs)
        for name in ("documents", "terms"):
            lexicon = folder / ("fwd.doclex" if name == "documents" else "fwd.termlex")
            _pisathon.build_binlex(str(folder / f"fwd.{name}"), str(lexicon))
        self.open(folder)
        for leftover in ("inv.docs", "inv.freqs", "fwd.documents", "fwd.terms"):
            (folder / leftover).unlink()

    def open(self, folder: Path) -> None:
        from pyterrier_pisa import _pisathon

        self._pisa = _pisathon
        self._context = _pisathon.RetrievalContext()
        _pisathon.prepare_index(
            self._context, str(folder), ENCODING, "quantized", "", block_size=BLOCK_SIZE
        )

    def prepare(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], k: int, params: Params
    ) -> tuple[dict[str, float], int, str]:
        """Make its dictionary of term names and whole-number weights."""
        scaled = np.rint(weights * QUERY_SCALE).tolist()
        named = {_name(term): weight for term, weight in zip(terms.tolist(), scaled, strict=True)}
        return named, k, params["algorithm"]

    def search(self, query: tuple[dict[str, float], int, str]) -> Any:
        return self._retrieve([query], 1)

    def ordinals(self, result: Any) -> NDArray[np.int64]:
        return np.array(result, dtype=np.int64)

    def search_all(self, batch: Sequence[Any], threads: int) -> None:
        """Pass all queries at once; PISA distributes them over its threads."""
        self._retrieve(batch, threads)

    def _retrieve(self, queries: Sequence[tuple[dict[str, float], int, str]], threads: int) -> Any:
        _, k, algorithm = queries[0]
        size = len(queries) * k
        names = np.empty(size, object)
        found = self._pisa.retrieve(
            self._context,
            algorithm,
            [(i, query[0]) for i, query in enumerate(queries)],
            k=k,
            threads=threads,
            pretokenised=1,
            query_weighted=1,
            result_qidxs=np.empty(size, np.int32),
            result_doc_ids=names,
            result_ranks=np.empty(size, np.int32),
            result_scores=np.empty(size, np.float32),
        )
        return names[:found]


def _name(term: int) -> str:
    # PISA looks terms up by bisection, so names must sort as the terms do.
    return f"{term:010d}"


def _write_collection(folder: Path, docs: Any) -> None:
    by_term = docs.copy()
    by_term.data = quantised_weights(docs.data).astype(np.uint32)
    by_term = by_term.tocsc()
    used = np.flatnonzero(np.diff(by_term.indptr))
    (folder / "fwd.terms").write_text("".join(f"{_name(term)}\n" for term in used.tolist()))
    (folder / "fwd.documents").write_text("".join(f"{i}\n" for i in range(docs.shape[0])))
    with (folder / "inv.docs").open("wb") as ids, (folder / "inv.freqs").open("wb") as impacts:
        ids.write(np.array([1, docs.shape[0]], "<u4").tobytes())
        for term in used:
            postings = slice(by_term.indptr[term], by_term.indptr[term + 1])
            length = np.array([postings.stop - postings.start], "<u4").tobytes()
            ids.write(length + by_term.indices[postings].astype("<u4").tobytes())
            impacts.write(length + by_term.data[postings].astype("<u4").tobytes())
    sizes = np.asarray(by_term.sum(axis=1)).ravel().astype("<u4")
    (folder / "inv.sizes").write_bytes(np.array([len(sizes)], "<u4").tobytes() + sizes.tobytes())
