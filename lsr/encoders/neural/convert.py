"""Conversion of pickled weights: ``python -m lsr.encoders.neural.convert FOLDER``.

A pickle can run code when it is read. It is therefore read once, by torch's weights-only loader, in
a process of its own that gets no environment; the result is checked here, without torch, and then
renamed into place. Encoders read safetensors only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lsr.encoders.neural.model_files import PICKLES, WEIGHTS, WEIGHTS_INDEX, find_model, read_json
from lsr.errors import LsrError, ModelError, UsageError

_WORKER = Path(__file__).with_name("convert_worker.py")
_FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}


def convert_weights(folder: Path) -> list[Path]:
    """Write safetensors beside the pickled weights of a model folder.

    Returns the files written: each atomically, the index of several parts last. Raises UsageError
    when there is nothing to convert, ModelError when the pickle holds anything but named tensors.
    """
    if (folder / WEIGHTS).exists() or (folder / WEIGHTS_INDEX).exists():
        raise UsageError(f"{folder}: has safetensors weights already, nothing to convert")
    single, index = (folder / name for name in PICKLES)
    if single.is_file():
        return [_convert_file(single, folder / WEIGHTS)]
    if index.is_file():
        return _convert_parts(folder, index)
    raise UsageError(f"{folder}: no {PICKLES[0]}, so there is nothing to convert")


def _convert_parts(folder: Path, index: Path) -> list[Path]:
    content = read_json(index)
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index}: expected a weight_map from tensor names to files")
    parts = sorted({str(part) for part in weight_map.values()})
    renamed = {}
    for i, part in enumerate(parts, start=1):
        if Path(part).name != part or not (folder / part).is_file():
            raise ModelError(f"{index}: names {part}, which is not in the folder")
        renamed[part] = f"model-{i:05d}-of-{len(parts):05d}.safetensors"
    written = [_convert_file(folder / part, folder / renamed[part]) for part in parts]
    content["weight_map"] = {name: renamed[str(part)] for name, part in weight_map.items()}
    target = folder / WEIGHTS_INDEX
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    shutil.copymode(index, file.name)
    os.replace(file.name, target)
    return [*written, target]


def _convert_file(source: Path, target: Path) -> Path:
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=target.parent) as scratch:
        made = Path(scratch) / target.name
        # -I: neither the environment nor the working folder decides what the process imports.
        done = subprocess.run(
            [sys.executable, "-I", str(_WORKER), str(source.resolve()), str(made)],
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = next(iter(reversed(done.stderr.strip().splitlines())), "no message")
            raise ModelError(f"{source}: cannot be converted ({said})")
        _check(made, source)
        shutil.copymode(source, made)
        os.replace(made, target)
    return target


def _check(made: Path, source: Path) -> None:
    """Validate a converted file as an untrusted one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(made, framework="numpy") as file:
            names = list(file.keys())
            for name in names:
                piece = file.get_slice(name)
                if piece.get_dtype() in _FLOATS and not np.isfinite(file.get_tensor(name)).all():
                    raise ModelError(f"{source}: tensor {name} holds values that are not finite")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{source}: the conversion left no readable file ({error})") from error
    if not names:
        raise ModelError(f"{source}: holds no tensors")


def main(arguments: Sequence[str]) -> int:
    """Convert the model named on the command line; return the exit status."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m lsr.encoders.neural.convert FOLDER\n")
        return 2
    try:
        for path in convert_weights(find_model(arguments[0])):
            sys.stdout.write(f"{path}\n")
    except LsrError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
