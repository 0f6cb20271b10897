"""Building an index in one pass, from a collection that can be larger than memory."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from lsr.encoders.base import EncoderAssets, Fingerprint
from lsr.errors import UsageError
from lsr.progress import Progress
from lsr_index.build.batches import Batches, as_batches, spread
from lsr_index.search.index import Index, open_index
from lsr_index.segment.encoder_store import write_assets
from lsr_index.segment.geometry import DEFAULT_MEMORY_BYTES, BuildOptions, plan_geometry
from lsr_index.segment.quantize import LossCount, fit_scale
from lsr_index.segment.quantized_batch import store_batch
from lsr_index.segment.writer import write_segment
from lsr_index.storage.dense_part import DensePart, DenseSpec
from lsr_index.storage.directory import DISK, Files
from lsr_index.storage.manifest import Manifest
from lsr_index.storage.transaction import WritableFolder, publish_index

MAX_TERMS = 1 << 32

# The choices of a build that later merges keep; memory and threads are the machine's.
_KEPT_OPTIONS = ("block_size", "range_size", "dense_fraction", "compact", "reorder")


def build_index(
    path: Path | str,
    batches: Batches,
    *,
    encoder: EncoderAssets | None = None,
    fingerprint: Fingerprint | None = None,
    dense: DenseSpec | None = None,
    n_terms: int | None = None,
    max_weight: float | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    reorder: bool | None = None,
    compact: bool = False,
    replace: bool = False,
    replaces: int | None = None,
    progress: Progress | None = None,
    files: Files = DISK,
    **layout: Any,
) -> Index:
    """Build an index and open it.

    It appears at `path` complete and durable, in one step; an interrupted build leaves nothing
    there, or the generation that was there. Equal input and options give an equal index, byte for
    byte.

    Parameters
    ----------
    path : path
        Where the index will be: nothing, or an empty folder.
    batches : collection or function returning an iterator of DocumentBatch, SparseBatch, SciPy CSR
        Read twice unless `n_terms` and `max_weight` are given. Vectors alone get the ids
        ``"0", "1", …``.
    encoder : EncoderAssets, optional
        Stored in the index, so that it can encode queries later.
    fingerprint : Fingerprint, optional
        Identity of the encoder.
    dense : DenseSpec, optional
        The dense vectors that every batch brings as its field `dense`.
    n_terms : int, optional
        Size of the vocabulary. Default: the largest term id plus one.
    max_weight : float, optional
        Largest weight of all vectors. Default: found by reading them, and outliers that would
        push ordinary weights to 0 are clipped; see `lsr_index.segment.quantize`.
    memory_bytes : int
        Bound on the working memory.
    reorder : bool, optional
        Order similar documents next to each other inside of the postings: slower to build; bounds
        of blocks get tighter. Ids and result order do not change. Default: no.
    compact : bool
        Smaller postings, somewhat slower search.
    replace : bool
        When an index is at `path`, make this its next generation. Searches see the old one until
        the new one is committed.
    replaces : int, optional
        The generation to replace; IndexStateError when another one is there by now.
    progress : callable, optional
        ``progress(stage, done, total)``.
    files : Files
        The disk.
    **layout
        ``block_size``, ``range_size``, ``dense_fraction``, ``threads``: see
        `lsr_index.segment.geometry.BuildOptions`.

    Raises
    ------
    IndexExistsError
        Something is at `path`.
    DataError
        A document cannot be stored, an id appears twice, a term id is outside of the vocabulary,
        or a weight above `max_weight`.
    StorageFullError
        No room is left. Nothing of the new index remains.
    IndexLockedError
        Another process is building the same index, or writes to the one being replaced.
    """
    source = as_batches(batches)
    options = build_options(memory_bytes, reorder, compact, layout)
    if n_terms is None or max_weight is None:
        weights, found_terms = spread(source())
        n_terms = found_terms if n_terms is None else n_terms
    n_terms = int(n_terms)  # NumPy's integers are none to JSON
    if not 0 <= n_terms <= MAX_TERMS:
        raise UsageError(f"a vocabulary has 0 to {MAX_TERMS} terms, got {n_terms}")
    if max_weight is None:
        scale, lost = weights.scale(), LossCount()
    else:
        scale, lost = fit_scale(float(max_weight) or 1.0), LossCount(clips=False)

    def write(writable: WritableFolder, current: Manifest | None) -> Manifest:
        generation = current.generation + 1 if current else 1
        part = None if dense is None else write_dense_part(writable, dense)
        segment = write_segment(
            writable,
            (store_batch(batch, scale, n_terms, part, lost) for batch in source()),
            n_terms=n_terms,
            scale=scale,
            options=options,
            generation=generation,
            dense=part,
            progress=progress,
        )
        return Manifest(
            generation=generation,
            n_terms=n_terms,
            scale=scale,
            segments=(segment,) if segment.n_docs else (),
            encoder=write_assets(writable, encoder) if encoder else None,
            fingerprint=fingerprint,
            settings={name: getattr(options, name) for name in _KEPT_OPTIONS},
            parent=generation - 1,
            dense=part,
            loss=lost.total,
        )

    path = Path(path)
    publish_index(path, files, write, replace=replace, replaces=replaces)
    return open_index(path, files=files)


def build_options(
    memory_bytes: int, reorder: bool | None, compact: bool, layout: dict[str, Any]
) -> BuildOptions:
    """Return the options of a build, or raise UsageError for an unknown one."""
    known = {field.name for field in fields(BuildOptions)} - {"memory_bytes", "reorder", "compact"}
    if unknown := sorted(layout.keys() - known):
        raise UsageError(
            f"unknown option {unknown[0]!r}; the layout has {', '.join(sorted(known))}"
        )
    options = BuildOptions(
        memory_bytes=memory_bytes,
        reorder="bisect" if reorder else "none",
        compact=compact,
        **layout,
    )
    try:
        plan_geometry(1, options.range_size, options.block_size)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None
    return options


def options_from_json(settings: dict[str, Any], memory_bytes: int) -> BuildOptions:
    """Return the options that later segments of an index are built with."""
    kept = {name: settings[name] for name in _KEPT_OPTIONS if name in settings}
    return BuildOptions(memory_bytes=memory_bytes, **kept)


def write_dense_part(writable: WritableFolder, spec: DenseSpec) -> DensePart:
    """Write the stored dense encoder, if there is one; return the entry of the manifest."""
    return spec.part(write_assets(writable, spec.encoder) if spec.encoder else None)
