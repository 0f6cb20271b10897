"""A fixed history of changes that touches everything a writer does, and what each must lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lsr.encoders.base import EncoderAssets
from lsr.errors import IndexNotFoundError
from lsr.records import Document, DocumentBatch
from lsr_index import Index, IndexWriter, build_index, open_index
from lsr_index.dense.codes import decode
from lsr_index.storage.dense_part import DenseSpec
from lsr_index.storage.directory import Files
from lsr_index.update.dense_vectors import set_dense
from lsr_index.update.merge_policy import MergePolicy
from lsr_index.update.snapshot import restore, snapshot
from tests.index.collections import batch_of

PATH = Path("/indexes/my.index")
COPY = Path("/indexes/copy.index")
N_TERMS = 12

DIMENSION = 3
Vector = tuple[tuple[int, int], ...]
State = dict[str, tuple[str, Vector, tuple[float, ...] | None]]
"""Id to text, (term id, impact) and dense vector: all that an index must give back of a document.
"""


class Step(NamedTuple):
    """One acknowledged change: how to make it, and the whole state afterwards."""

    name: str
    apply: Callable[[Files], None]
    after: State


def documents(doc_ids: list[str], version: int, dense: bool = False) -> State:
    return {
        doc_id: (
            f"{doc_id} version {version}",
            tuple(
                sorted({(hash_of(doc_id, version, i) % N_TERMS): 1 + i for i in range(3)}.items())
            ),
            dense_of(doc_id, version) if dense else None,
        )
        for doc_id in doc_ids
    }


def hash_of(doc_id: str, version: int, i: int) -> int:
    return sum(map(ord, doc_id)) * 31 + version * 7 + i * 5


def dense_of(doc_id: str, version: int) -> tuple[float, ...]:
    """Numbers that half precision holds exactly."""
    return tuple(float(hash_of(doc_id, version, i) % 64 + 1) for i in range(DIMENSION))


def add(writer: IndexWriter, state: State, scale: float = 1.0 / 255) -> None:
    writer.add(stored(state, 1, scale))


def stored(state: State, version: int, scale: float) -> DocumentBatch:
    """Make a batch of documents."""
    rows = {doc_id: {t: i * scale for t, i in v} for doc_id, (_, v, _) in state.items()}
    texts = {d: Document(d, text, "", {"v": version}) for d, (text, _, _) in state.items()}
    dense = [vector for _, _, vector in state.values() if vector is not None]
    batch = batch_of(rows, texts)
    return batch._replace(dense=np.array(dense, np.float32)) if dense else batch


def history(dense: bool = False) -> list[Step]:
    """The steps, in order. Each builds on the state that the one before left."""
    spec = DenseSpec(DIMENSION, "dot") if dense else None
    steps: list[Step] = []
    state: State = {}

    def step(name: str, change: Callable[[IndexWriter], object], after: State) -> None:
        def apply(files: Files) -> None:
            with IndexWriter(PATH, files=files, policy=MergePolicy(factor=3, floor_docs=4)) as w:
                change(w)

        steps.append(Step(name, apply, after))

    first = documents([f"d{i}" for i in range(6)], 0, dense)

    def build(files: Files) -> None:
        build_index(
            PATH, [stored(first, 0, 1 / 255)], n_terms=N_TERMS, max_weight=1.0, files=files,
            encoder=EncoderAssets({"kind": "none"}), dense=spec,
        )  # fmt: skip

    state = dict(first)
    steps.append(Step("first commit", build, dict(state)))

    def adding(new: State, gone: list[str]) -> Callable[[IndexWriter], object]:
        def change(writer: IndexWriter) -> None:
            if new:
                add(writer, new)
            writer.delete(gone)
            writer.commit()

        return change

    for version in range(1, 4):
        new = documents([f"d{version}", f"e{version}", f"f{version}"], version, dense)
        gone = [f"d{version + 2}"]
        state = {d: v for d, v in (state | new).items() if d not in gone}
        step(f"upsert and delete {version}", adding(new, gone), dict(state))
    step("merge", lambda writer: writer.merge(), dict(state))
    state = {d: v for d, v in state.items() if d != "e1"}
    step("delete alone", adding({}, ["e1"]), dict(state))
    step("compact", lambda writer: writer.compact(), dict(state))
    step("new encoder", lambda w: w.commit(encoder=EncoderAssets({"kind": "other"})), dict(state))
    new = documents(["g0"], 9, dense)
    state = state | new
    step("add after compact", adding(new, []), dict(state))
    # A weight of 1.6 makes the scale 2 / 255: what is stored is halved, and 0 is dropped.
    state = {d: (text, halved(vector), own) for d, (text, vector, own) in state.items()}
    large = dense_of("large", 0) if dense else None
    state["large"] = ("large", ((3, 204),), large)
    step("larger scale", adding({"large": ("large", ((3, 408),), large)}, []), dict(state))
    if spec is not None:
        steps.append(other_dense_vectors(spec, state))
    return steps


def other_dense_vectors(spec: DenseSpec, state: State) -> Step:
    after = {d: (text, v, dense_of(d, 77)) for d, (text, v, _) in state.items()}

    def change(files: Files) -> None:
        index = open_index(PATH, files=files)
        doc_ids = index.doc_ids(index.select({}))
        rows = np.array([dense_of(doc_id, 77) for doc_id in doc_ids], np.float32)
        set_dense(PATH, spec, [rows[:3], rows[3:]], files=files)

    return Step("other dense vectors", change, after)


def halved(vector: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    # Just below one half: a weight of 1.6 is a little more as a 32-bit number.
    rounded = ((term, int(impact * 0.499999 + 0.5)) for term, impact in vector)
    return tuple((term, impact) for term, impact in rounded if impact)


def backups(state: State) -> list[Step]:
    """Steps that copy: the state of the index stays; see `state_of` for that of the copy."""

    def restoring(files: Files) -> None:
        restore(COPY, PATH, replace_existing=True, files=files)

    return [
        Step("snapshot", lambda files: void(snapshot(PATH, COPY, files=files)), state),
        Step("restore", restoring, state),
    ]


def void(_: object) -> None:
    """Forget a result."""


def state_of(files: Files, path: Path = PATH) -> State | None:
    """Open an index as a reader after a crash does and read all of it; None: there is none."""
    try:
        index = open_index(path, verify="structure", files=files)
    except IndexNotFoundError:
        return None
    _ = index.encoder_assets
    return dict(rows_of(index))


def rows_of(index: Index) -> Iterator[tuple[str, tuple[str, Vector, tuple[float, ...] | None]]]:
    for segment in index.segments:
        live = np.flatnonzero(segment.live_mask())
        records = segment.documents.records(live.tolist())
        for first, vectors in segment.vectors.chunks():
            assert first == 0, "the workload's segments are small"
            for position, record in zip(live.tolist(), records, strict=True):
                span = slice(vectors.indptr[position], vectors.indptr[position + 1])
                terms, impacts = vectors.term_ids[span].tolist(), vectors.impacts[span].tolist()
                dense = None
                if segment.dense is not None:
                    codes = segment.dense.codes_of(np.array([position]))
                    dense = tuple(decode(codes)[0].tolist())
                yield (
                    segment.doc_ids.doc_id(position),
                    (record.text, tuple(zip(terms, impacts, strict=True)), dense),
                )
