"""A single segment of this package's index, without ids and stored documents.

Used to switch off optimisations of the search one by one (`lsr_eval.bench.ablation`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr_eval.bench.engines.base import Engine, Params
from lsr_index.search.execute import search_segments
from lsr_index.search.options import SearchOptions
from lsr_index.search.segment_set import Segments
from lsr_index.segment.arrays import SegmentArrays
from lsr_index.segment.geometry import BuildOptions
from lsr_index.segment.inverter import build_segment
from lsr_index.segment.kernel_segment import KernelSegment
from lsr_index.segment.quantize import fit_scale, quantize_documents


class Segment(Engine):
    """Arrays of a segment, memory-mapped."""

    def build(self, docs: Any, folder: Path, params: Params) -> None:
        impacts = quantize_documents(docs.data, fit_scale(float(docs.data.max())))
        kept = np.flatnonzero(impacts)
        kept_before = np.concatenate([[0], np.cumsum(impacts > 0)])
        built = build_segment(
            kept_before[docs.indptr].astype(np.int64),
            docs.indices[kept].astype(np.uint32),
            impacts[kept],
            docs.shape[1],
            options=BuildOptions(**params),
        )
        for name, array in built.arrays().items():
            np.save(folder / f"{name}.npy", array)
        (folder / "params.json").write_text(json.dumps(built.params()))

    def open(self, folder: Path) -> None:
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
        params = json.loads((folder / "params.json").read_text())
        self._segments = Segments([KernelSegment(SegmentArrays.from_arrays(arrays, params))])

    def prepare(
        self, terms: NDArray[np.int32], weights: NDArray[np.float32], k: int, params: Params
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32], int, SearchOptions]:
        return terms.astype(np.uint32), weights, k, SearchOptions(**params)

    def search(self, query: tuple[Any, Any, int, SearchOptions]) -> Any:
        terms, weights, k, options = query
        return search_segments(self._segments, terms, weights, k, options=options)

    def ordinals(self, result: Any) -> NDArray[np.int64]:
        return np.asarray(result.ordinals, np.int64)
