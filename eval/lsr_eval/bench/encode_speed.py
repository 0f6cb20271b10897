"""Encoding speed against sentence-transformers: ``python -m lsr_eval.bench.encode_speed``.

Both engines encode the same texts with the same length limit and threads in one process. They
alternate in rounds, so that other load on the machine affects both, and their vectors are compared
entry by entry. sentence-transformers runs at its default batch size and at others; the speed ratio
is reported against its default and against its best.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from lsr.corpus import open_corpus
from lsr.encoders.neural.int8_files import export_floats, is_int8
from lsr.encoders.neural.model_files import find_model
from lsr.encoders.neural.splade import Backend, load_splade
from lsr.errors import LsrError, MissingDependencyError
from lsr_eval.bench.machine import machine_facts, package_version

OURS = "lsr"
DEFAULT_BATCH = 32
"""Batch size of ``SparseEncoder.encode`` when none is given."""

Encode = Callable[[Sequence[str]], csr_array]


class Timing(NamedTuple):
    """Documents per second of one engine (median over rounds), and properties of its vectors.

    `largest_difference` is the largest over all entries, to our vectors.
    """

    engine: str
    per_wall_second: float
    per_cpu_second: float
    terms_per_document: float
    largest_difference: float


def compare(
    model: str,
    texts: Sequence[str],
    *,
    max_length: int | None,
    peer_batches: Sequence[int],
    rounds: int,
    threads: int | None,
    backend: Backend | None = None,
) -> list[Timing]:
    """Time both engines on the same texts; ours is the first of the result.

    `model` is a model folder, or the name of a model that comes with the package; of a composite,
    the network is measured. `max_length` is in word pieces. One more round is run before the timed
    ones, on few texts. Without `backend`, our encoder runs the int8 graph in the folder, or torch.
    """
    peers = _peers(find_model(model), max_length, peer_batches)
    engines = {OURS: _ours(model, max_length, backend), **peers}
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    for encode in engines.values():
        encode(texts[: max(peer_batches)])
    wall: dict[str, list[float]] = {name: [] for name in engines}
    cpu: dict[str, list[float]] = {name: [] for name in engines}
    vectors = {}
    for _ in range(rounds):
        for name, encode in engines.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            vectors[name] = encode(texts)
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(time.process_time() - cpu_started)
    return [
        Timing(
            name,
            len(texts) / median(wall[name]),
            len(texts) / median(cpu[name]),
            vectors[name].nnz / len(texts),
            float(abs(vectors[name] - vectors[OURS]).max()),
        )
        for name in engines
    ]


def ratios(timings: Sequence[Timing]) -> dict[str, float]:
    """Return the speed of the first engine over that of the peer's default and best batch sizes.

    By wall time and by CPU time; the best batch size is chosen for each.
    """
    ours, *peers = timings
    default = next((peer for peer in peers if peer.engine == _peer_name(DEFAULT_BATCH)), peers[0])
    return {
        "wall_default": ours.per_wall_second / default.per_wall_second,
        "wall_best": ours.per_wall_second / max(peer.per_wall_second for peer in peers),
        "cpu_default": ours.per_cpu_second / default.per_cpu_second,
        "cpu_best": ours.per_cpu_second / max(peer.per_cpu_second for peer in peers),
    }


def _ours(model: str, max_length: int | None, backend: Backend | None) -> Encode:
    encoder = load_splade(
        model, query_encoder="model", max_length=max_length, device="cpu", backend=backend
    )

    def encode(texts: Sequence[str]) -> csr_array:
        return encoder.encode_documents(texts).vectors.to_scipy(encoder.n_terms)

    return encode


def _peers(folder: Path, max_length: int | None, batches: Sequence[int]) -> dict[str, Encode]:
    try:
        from sentence_transformers import SparseEncoder
    except ImportError as error:
        raise MissingDependencyError("the comparison", "peers") from error
    with tempfile.TemporaryDirectory() as beside:
        if is_int8(folder):
            export_floats(folder, Path(beside) / "floats")
            folder = Path(beside) / "floats"
        peer = SparseEncoder(str(folder), device="cpu", local_files_only=True)
    if max_length is not None:
        peer.max_seq_length = max_length

    def encoding(batch_size: int) -> Encode:
        def encode(texts: Sequence[str]) -> csr_array:
            made = peer.encode_document(
                list(texts), batch_size=batch_size, show_progress_bar=False
            ).coalesce()
            rows, terms = made.indices().numpy()
            shape = tuple(made.shape)
            return csr_array((made.values().numpy().astype(np.float32), (rows, terms)), shape)

        return encode

    return {_peer_name(batch): encoding(batch) for batch in batches}


def _peer_name(batch: int) -> str:
    return f"sentence-transformers, batch {batch}"


def _report(timings: Sequence[Timing], settings: dict[str, Any]) -> str:
    lines = [f"{'engine':34} docs/s (wall)  docs/s (CPU)  terms  largest difference"]
    lines += [
        f"{t.engine:34} {t.per_wall_second:13.1f} {t.per_cpu_second:13.1f} "
        f"{t.terms_per_document:6.1f} {t.largest_difference:19.1e}"
        for t in timings
    ]
    speed = ratios(timings)
    lines.append(
        f"ratio: wall {speed['wall_default']:.1f} to the default batch size, "
        f"{speed['wall_best']:.1f} to the best; CPU {speed['cpu_default']:.1f} and "
        f"{speed['cpu_best']:.1f} ({settings['docs']} documents, {settings['rounds']} rounds)"
    )
    return "\n".join(lines)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lsr_eval.bench.encode_speed", description=__doc__
    )
    parser.add_argument("corpus", help="anything that `lsr index` takes")
    parser.add_argument("--model", required=True, help="folder of a SPLADE model")
    parser.add_argument("--backend", choices=["torch", "onnx"], help="of our side; torch")
    parser.add_argument("--docs", type=int, default=256, help="documents, spread over the corpus")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of torch, for both engines")
    parser.add_argument("--peer-batches", type=int, nargs="+", default=[4, 8, 16, DEFAULT_BATCH])
    parser.add_argument("--json", action="store_true", help="machine-readable result")
    return parser.parse_args(argv)


def _sample(corpus: str, docs: int) -> list[str]:
    """Take every n-th document, so that the sample does not depend on how the corpus begins."""
    total = sum(1 for _ in open_corpus(corpus))
    step = max(1, total // docs)
    return [d.contents for d in islice(open_corpus(corpus), 0, step * docs, step)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison and write its result to the terminal; return the exit status."""
    given = _arguments(argv)
    try:
        texts = _sample(given.corpus, given.docs)
        timings = compare(
            given.model,
            texts,
            max_length=given.max_length,
            peer_batches=given.peer_batches,
            rounds=given.rounds,
            threads=given.threads,
            backend=given.backend,
        )
    except LsrError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    settings = {**vars(given), "docs": len(texts)}
    if not given.json:
        sys.stdout.write(_report(timings, settings) + "\n")
        return 0
    packages = ("torch", "transformers", "sentence-transformers")
    result = {
        "settings": settings,
        "timings": [timing._asdict() for timing in timings],
        "ratios": ratios(timings),
        "machine": machine_facts(),
        "versions": {name: package_version(name) for name in packages},
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
