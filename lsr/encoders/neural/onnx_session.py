"""ONNX sessions of graphs that somebody else may have made.

A graph can name files that hold its tensors (*external data*). A runtime that follows any path
reads whatever the user may read, such as ``/etc/passwd``, into a tensor. So this module accepts
only files inside the graph's folder, whatever the installed onnxruntime does.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from lsr.errors import ModelError, first_line

# Field numbers of onnx.proto on the way to the tensors: message → field → message.
_NESTED = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}  # fmt: skip
_KEY, _VALUE = 1, 2
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_DEEPEST = 100
"""Messages within messages, the limit of protobuf itself."""


def open_session(graph: Path, n_threads: int) -> Any:
    """Return an ``onnxruntime.InferenceSession`` on the CPU, of `n_threads` a call.

    Raises ModelError for a file that cannot be loaded, or names tensors outside of its folder.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    require_own_folder(graph)
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a damaged file can fail in any way; say which
        raise ModelError(f"{graph}: cannot be loaded ({first_line(error)})") from error


def require_own_folder(graph: Path) -> None:
    """Require that every file a graph names lies in the graph's folder or below; raises ModelError.

    Links count as what they point to. The cache of the hub keeps files as links into one folder, so
    a file beside the one that the graph's own link points to counts as inside.
    """
    locations = external_locations(graph)
    folders = {graph.parent.resolve(), graph.resolve().parent}
    for location in locations:
        if not _is_inside(location, graph.parent, folders):
            raise ModelError(
                f"{graph}: reads tensors from {location!r}, which is no file in the folder of "
                "the model; such a graph is not loaded"
            )


def external_locations(graph: Path) -> set[str]:
    """Return the file names in a graph's tensors, as written there; raises ModelError."""
    try:
        with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return {name.decode("utf-8", "surrogateescape") for name in _locations(data)}
    except (OSError, ValueError) as error:
        raise ModelError(f"{graph}: cannot be loaded ({error})") from error


def _is_inside(location: str, folder: Path, allowed: set[Path]) -> bool:
    # Both spellings, whatever this machine uses: "C:x", "\\host\x" and "..\x" are no plain names.
    # onnxruntime takes a name with asterisks for an address in the memory of the process.
    windows = PureWindowsPath(location)
    if windows.drive or windows.root or ".." in windows.parts or set(location) & {"*", "\0"}:
        return False
    file = (folder / location).resolve()
    return file.is_file() and any(file.is_relative_to(root) for root in allowed)


def _locations(data: mmap.mmap) -> Iterator[bytes]:
    pending = [("Model", 0, len(data), 0)]
    while pending:
        kind, start, end, depth = pending.pop()
        if depth > _DEEPEST:
            raise ValueError("messages are nested too deep")
        entry: dict[int, bytes] = {}
        for field, at, stop in _fields(data, start, end):
            if kind == "Entry":
                entry[field] = data[at:stop]
            elif inner := _NESTED[kind].get(field):
                pending.append((inner, at, stop, depth + 1))
        if entry.get(_KEY) == b"location":
            yield entry.get(_VALUE, b"")


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield field number, start and end of every field that has bytes."""
    while at < end:
        tag, at = _varint(data, at, end)
        # protobuf cuts a tag to 32 bits: a larger one would be another field there than here.
        if tag >> 32:
            raise ValueError(f"is no ONNX graph: tag {tag} at byte {at}")
        wire = tag & 7
        size = 0
        if wire == _VARINT:
            _, at = _varint(data, at, end)
        elif wire == _BYTES:
            size, at = _varint(data, at, end)
        elif wire in (_FIXED_32, _FIXED_64):
            size = 4 if wire == _FIXED_32 else 8
        else:
            raise ValueError(f"is no ONNX graph: wire type {wire} at byte {at}")
        if size > end - at:
            raise ValueError(f"is cut off, or no ONNX graph: {size} bytes expected at byte {at}")
        if wire == _BYTES:
            yield tag >> 3, at, at + size
        at += size


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError("is cut off, or no ONNX graph")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError(f"is no ONNX graph: a number without an end at byte {at}")
