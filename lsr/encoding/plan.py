"""Plan and progress of an encode job: ``job.json``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from lsr.corpus import Corpus
from lsr.encoders.base import Encoder
from lsr.encoders.dense.base import DenseEncoder
from lsr.errors import DataError, UsageError
from lsr.files import remove_work, write_bytes
from lsr.own_files import OWNER_FILE
from lsr.records import Document

JOB_FILES = re.compile(r"job\.json|start\.npz|shard-\d{5,}\.(parquet|npy|npz)")
BATCH_DOCS = 512
BATCH_CHARS = 1 << 22
"""An encoder gets at most so many documents at once, and stops collecting them at so many
characters. Part of the plan: a neural encoder pads within a batch, so other batches would give
weights that differ in the last bit."""

_FORMAT = 1


def make_plan(
    corpus: Corpus, encoder: Encoder, shard_docs: int, dense: DenseEncoder | None = None
) -> dict[str, Any]:
    """Return everything that the bytes of the shards depend on, as JSON values."""
    plan = {
        "format": _FORMAT,
        "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint()},
        "encoder": dict(encoder.fingerprint.document),
        "batch": {"docs": BATCH_DOCS, "chars": BATCH_CHARS},
        "shard_docs": shard_docs,
    }
    if dense is not None:
        plan["dense"] = dict(dense.fingerprint.document)
    return dict(orjson.loads(orjson.dumps(plan)))


def document_batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Cut a stream of documents into the batches that an encoder gets."""
    batch: list[Document] = []
    n_chars = 0
    for document in documents:
        batch.append(document)
        n_chars += len(document.text) + len(document.title)
        if len(batch) == BATCH_DOCS or n_chars >= BATCH_CHARS:
            yield batch
            batch, n_chars = [], 0
    if batch:
        yield batch


def is_job(folder: Path) -> bool:
    """Whether a folder holds an encode job."""
    return _path(folder).exists()


def remove_job(folder: Path) -> None:
    """Remove the files of an encode job, and its folder."""
    remove_work(folder, JOB_FILES)


def drop_job(folder: Path) -> None:
    """Remove the files of an encode job from its folder; first the file that makes it a job."""
    _path(folder).unlink()
    for file in folder.iterdir():
        if JOB_FILES.fullmatch(file.name):
            file.unlink()


def save_progress(folder: Path, plan: Mapping[str, Any], n_shards: int, *, complete: bool) -> None:
    """Write how many shards are complete; `complete` when they are all."""
    content = orjson.dumps(
        {"n_shards": n_shards, "complete": complete, "plan": plan}, option=orjson.OPT_INDENT_2
    )
    write_bytes(_path(folder), content, OWNER_FILE)


def load_progress(folder: Path) -> tuple[int, bool, dict[str, Any]]:
    """Return the number of complete shards, whether they are all, and the plan of the job.

    Raises DataError for a damaged file.
    """
    path = _path(folder)
    try:
        saved = orjson.loads(path.read_bytes())
        return int(saved["n_shards"]), bool(saved["complete"]), dict(saved["plan"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not the state of an encode job ({error}); remove {folder} to start over"
        ) from error


def require_plan(folder: Path, saved: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
    """Raise UsageError, with what differs, for a job of another plan."""
    differing = _differences(saved, plan)
    if not differing:
        return
    if saved.get("corpus") != plan["corpus"] and len(differing) == len(
        _differences(saved["corpus"], plan["corpus"])
    ):
        raise UsageError(
            f"{folder} holds a job that began before its source changed ({plan['corpus']['name']}"
            f"); start over with --overwrite, or by removing {folder}"
        )
    raise UsageError(
        f"{folder} holds a job that was started with something else ({'; '.join(differing)}); "
        f"run it as it was started to continue, or start over with --overwrite, or by removing "
        f"{folder}"
    )


def _differences(saved: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted(saved.keys() | now.keys()):
        old, new = saved.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{within}{key} ")
        elif old != new:
            found.append(f"{within}{key}: then {old!r}, now {new!r}")
    return found


def _path(folder: Path) -> Path:
    return folder / "job.json"
