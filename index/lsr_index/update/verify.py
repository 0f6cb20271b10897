"""Verification of an index, without changing it.

Four levels, each with all checks of the lower ones. 0: the manifest, the one kept beside it, and
the length and directory of every file. 1: every byte, against the checksums of the arrays and the
SHA-256 of the files. 2: that the arrays agree with each other, and that no id is alive twice.
3: that searches return what plain arithmetic over the stored vectors returns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.errors import CorruptIndexError, FormatVersionError, IndexStateError, LsrError, UsageError
from lsr.sparse import SparseBatch
from lsr_index.kernels.accumulator import width_for
from lsr_index.search.dense_index import DenseIndex
from lsr_index.search.index import Index, open_index
from lsr_index.segment.quantize import quantize_query
from lsr_index.segment.reader import SegmentReader
from lsr_index.storage.directory import DISK, Files
from lsr_index.storage.manifest import generations, read_manifest

MAX_LEVEL = 3
N_QUERIES = 100
N_DENSE_QUERIES = 10
_QUERY_TERMS = 24
_K = 100
_BLOCK_DOCS = 8192


@dataclass
class Report:
    """Result of a verification of one generation.

    `checked` lists the checks that passed, `problems` the damage, one line each, with file and
    offset. `unreadable` says why nothing could be checked: no index, another version, no
    permission.
    """

    path: Path
    level: int
    generation: int | None = None
    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unreadable: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0: passed; 1: corrupt; 2: cannot be read."""
        if self.unreadable is not None:
            return 2
        return 1 if self.problems else 0


def verify(
    path: Path | str,
    level: int = 2,
    *,
    generation: int | None = None,
    seed: int = 0,
    files: Files = DISK,
) -> Report:
    """Check an index. Reads only; problems are reported, not raised.

    `level` is 0 to 3, see the module; `generation` is by default the newest; `seed` is that of the
    random queries of level 3.
    """
    if level not in range(MAX_LEVEL + 1):
        raise UsageError(f"the levels of verify are 0 to {MAX_LEVEL}, got {level!r}")
    report = Report(Path(path), level)
    try:
        index = open_index(path, generation=generation, files=files)
    except CorruptIndexError as error:
        report.problems.append(str(error))
        return report
    except (FormatVersionError, IndexStateError, OSError) as error:
        report.unreadable = str(error)
        return report
    report.generation = index.generation
    with index:
        if generation is None:
            report.problems += _former_problems(index, files)
        n_former = len(report.problems)
        for description, steps in _checks(index, level, seed):
            try:
                for found in steps:
                    report.problems.append(str(found))
            except LsrError as error:
                report.problems.append(str(error))
            if report.problems[n_former:]:
                break  # what builds upon damaged bytes proves nothing
            report.checked.append(description)
    return report


def _former_problems(index: Index, files: Files) -> list[str]:
    """Check the generations kept beside the newest: manifests, and files by name.

    Searches do not use a damaged one, but the files it needs are unknown.
    """
    problems = []
    for generation in generations(files, index.path):
        if generation >= index.generation:
            continue
        try:
            missing = read_manifest(files, index.path, generation).files()
        except FileNotFoundError:  # a writer has moved on
            continue
        except LsrError as error:
            problems.append(
                f"{error}; searches use generation {index.generation}, which is whole: the next "
                "commits remove this one"
            )
            continue
        missing -= set(files.names(index.path))
        if missing and generation in generations(files, index.path):
            problems.append(f"{index.path}: generation {generation} lacks {sorted(missing)[0]}")
    return problems


def _checks(index: Index, level: int, seed: int) -> Iterator[tuple[str, Iterator[LsrError]]]:
    n_files = len(index.manifest.files())
    yield f"manifest and directories of {n_files} files", iter(())
    if level >= 1:
        yield "every byte", _check_bytes(index)
    if level >= 2:
        yield f"structure of {len(index.segments)} segments", _check_structure(index)
        yield f"{index.n_docs} ids, each alive once", _check_unique(index)
    if level >= 3:
        yield f"{N_QUERIES} random queries", _check_queries(index, seed)
        if index.dense is not None:
            yield f"{index.dense.n_vectors} dense vectors", _check_dense(index, seed)


def _check_bytes(index: Index) -> Iterator[LsrError]:
    """Compare checksums and digests of all files, also after a damaged one."""
    for container in index.containers():
        try:
            container.check()
            digest = hashlib.sha256(container.data).hexdigest()
            if digest != container.entry.sha256:
                raise CorruptIndexError(
                    "the file does not have the SHA-256 of the manifest", container.path
                )
        except CorruptIndexError as error:
            yield error


def _check_structure(index: Index) -> Iterator[LsrError]:
    for segment in index.segments:
        try:
            segment.check_structure()
            if segment.arrays.terms.size and int(segment.arrays.terms[-1]) >= index.n_terms:
                raise CorruptIndexError(
                    f"a term id is outside of the vocabulary of {index.n_terms} terms",
                    segment.container.path,
                )
        except CorruptIndexError as error:
            yield error


def _check_unique(index: Index) -> Iterator[LsrError]:
    """Look for an id that is alive in two segments; `DocIdReader.check` covers one segment."""
    hashes = [segment.doc_ids.live_hashes(segment.live_mask()) for segment in index.segments]
    everything = np.sort(np.concatenate([np.zeros(0, np.uint64), *hashes]))
    repeated = np.unique(everything[1:][everything[1:] == everything[:-1]])
    for value in repeated:
        owners: dict[str, SegmentReader] = {}
        for segment in index.segments:
            for doc_id in segment.doc_ids.with_hash(int(value)):
                if segment.find(doc_id) is None:
                    continue
                if doc_id in owners:
                    yield CorruptIndexError(f"id {doc_id!r} is alive twice", segment.container.path)
                owners[doc_id] = segment


def _check_queries(index: Index, seed: int) -> Iterator[LsrError]:
    """Search with random queries; each must return what adding up stored impacts returns."""
    rng = np.random.default_rng(seed)
    terms = np.unique(
        np.concatenate(
            [np.zeros(0, np.uint32), *(segment.arrays.terms for segment in index.segments)]
        )
    )
    if not len(terms):
        return
    rows = []
    for _ in range(N_QUERIES):
        chosen = rng.choice(terms, min(len(terms), int(rng.integers(1, _QUERY_TERMS))), False)
        rows.append({int(t): float(rng.uniform(0.05, 3)) for t in chosen})
    queries = SparseBatch.from_rows(rows)
    scores = _scores(index, queries)
    for i in range(queries.n_rows):
        k = min(_K, max(1, index.n_docs))
        hits = index.search(queries.rows(i, i + 1), k)
        order = np.argsort(-scores[i], kind="stable")[:k]
        order = order[scores[i][order] > 0]
        same = np.array_equal(hits.ordinals, order) and np.array_equal(
            hits.int_scores, scores[i][order]
        )
        if not same:
            yield CorruptIndexError(
                f"query {i} of seed {seed} finds {hits.ordinals[:5].tolist()}…, adding up the "
                f"stored vectors {order[:5].tolist()}…",
                index.path,
            )


def _check_dense(index: Index, seed: int) -> Iterator[LsrError]:
    """Check the radii of lists, and that searches return what arithmetic returns."""
    for segment in index.segments:
        if segment.dense is not None:
            segment.dense.check_radii()
    dense = index.require_dense()
    ordinals = index.select({})
    if not len(ordinals):
        return
    rng = np.random.default_rng(seed)
    queries = dense.vectors(rng.choice(ordinals, N_DENSE_QUERIES))
    queries += rng.normal(0, 0.01, queries.shape).astype(np.float32)
    if dense.similarity == "cosine":
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    scores, longest = _dense_scores(dense, ordinals, queries)
    for i, query in enumerate(queries):
        hits = dense.search(query, _K, exact=True)
        best = np.sort(scores[i][np.isfinite(scores[i])])[::-1][:_K]
        own = scores[i][np.isin(ordinals, hits.ordinals)]
        slack = 1e-4 * float(np.linalg.norm(query)) * longest
        same = len(hits) == len(best) == len(own) and bool(
            (np.abs(hits.scores - best) <= slack).all()
            and (np.abs(hits.scores - np.sort(own)[::-1]) <= slack).all()
        )
        if not same:
            yield CorruptIndexError(
                f"dense query {i} of seed {seed} finds {hits.ordinals[:5].tolist()}…, arithmetic "
                "over the stored vectors finds others",
                index.path,
            )


def _dense_scores(
    dense: DenseIndex, ordinals: NDArray[np.int64], queries: NDArray[np.float32]
) -> tuple[NDArray[np.float64], float]:
    """Return scores for all queries, -inf without a vector, and the largest vector length."""
    scores, longest = np.empty((len(queries), len(ordinals))), 0.0
    for start in range(0, len(ordinals), _BLOCK_DOCS):
        part = slice(start, start + _BLOCK_DOCS)
        vectors = dense.vectors(ordinals[part]).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1)
        scores[:, part] = np.where(lengths > 0, queries @ vectors.T, -np.inf)
        longest = max(longest, float(lengths.max()))
    return scores, longest


def _scores(index: Index, queries: SparseBatch) -> NDArray[np.int64]:
    """Return the scores of all documents, (n_queries, documents); 0 for deleted ones."""
    n_docs = sum(segment.n_docs for segment in index.segments)
    scores = np.zeros((queries.n_rows, n_docs), np.int64)
    weights = np.zeros(index.n_terms, np.int64)
    base = 0
    for segment in index.segments:
        live = segment.live_mask()
        for first, vectors in segment.vectors.chunks():
            n = len(vectors.indptr) - 1
            rows = np.repeat(np.arange(n), np.diff(vectors.indptr))
            for i in range(queries.n_rows):
                ids, values = queries.row(i)
                width = width_for(len(ids))
                weights[ids] = quantize_query(values, width)[0]
                parts = (vectors.impacts * weights[vectors.term_ids]) >> width.shift
                total = np.bincount(rows, parts, minlength=n).astype(np.int64)
                scores[i, base + first : base + first + n] = total * live[first : first + n]
                weights[ids] = 0
        base += segment.n_docs
    return scores
