"""Graphs that name files outside of their folder, wherever in the graph they do."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lsr.encoders.neural.onnx_session import external_locations, open_session, require_own_folder
from lsr.errors import ModelError
from tests.shared import shared_path

OUTSIDE = [
    "/etc/passwd",
    "../secret.bin",
    "a/../../secret.bin",
    "..",
    "..\\secret.bin",
    "C:\\secret.bin",
    "C:secret.bin",
    "\\\\host\\share\\secret.bin",
    "link.bin",
    "linked/secret.bin",
    "",
    ".",
    "missing.bin",
    "*/_ORT_MEM_ADDR_/*",
]


def tensor(location: str) -> Any:
    """Return a tensor of eight floats that lie in a file."""
    made = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[8])
    made.data_location = TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "32")):
        made.external_data.add(key=key, value=value)
    return made


def graph(initializers: list[Any], nodes: list[Any] | None = None) -> Any:
    """Return a graph that gives a tensor W."""
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [8])
    node = helper.make_node("Identity", ["W"], ["out"])
    return helper.make_graph([*(nodes or []), node], "g", [], [output], initializers)


def initializer(made: Any) -> Any:
    return helper.make_model(graph([made]))


def constant(made: Any) -> Any:
    return helper.make_model(graph([], [helper.make_node("Constant", [], ["W"], value=made)]))


def list_of_tensors(made: Any) -> Any:
    node = helper.make_node("Constant", [], ["W"])
    node.attribute.append(helper.make_attribute("values", [made]))
    return helper.make_model(graph([], [node]))


def branch(made: Any) -> Any:
    inner = graph([made])
    node = helper.make_node("If", ["c"], ["W"], then_branch=inner, else_branch=inner)
    return helper.make_model(graph([], [node]))


def list_of_graphs(made: Any) -> Any:
    node = helper.make_node("X", [], ["W"])
    node.attribute.append(helper.make_attribute("graphs", [graph([made])]))
    return helper.make_model(graph([], [node]))


def sparse_initializer(made: Any) -> Any:
    model = helper.make_model(graph([]))
    model.graph.sparse_initializer.add().values.CopyFrom(made)
    return model


def sparse_attribute(made: Any) -> Any:
    sparse = onnx.SparseTensorProto()
    sparse.indices.CopyFrom(made)
    return helper.make_model(
        graph([], [helper.make_node("Constant", [], ["W"], sparse_value=sparse)])
    )


def function(made: Any) -> Any:
    model = initializer(helper.make_tensor("W", TensorProto.FLOAT, [8], [0.0] * 8))
    node = helper.make_node("Constant", [], ["y"], value=made)
    imports = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("d", "F", [], ["y"], [node], imports))
    return model


def training(made: Any) -> Any:
    model = helper.make_model(graph([]))
    model.training_info.add().initialization.CopyFrom(graph([made]))
    return model


PLACES: list[Callable[[Any], Any]] = [
    initializer,
    constant,
    list_of_tensors,
    branch,
    list_of_graphs,
    sparse_initializer,
    sparse_attribute,
    function,
    training,
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of a model, with files outside of it and links to them."""
    (tmp_path / "secret.bin").write_bytes(bytes(32))
    made = tmp_path / "model"
    (made / "below").mkdir(parents=True)
    np.arange(8, dtype=np.float32).tofile(made / "weights.bin")
    (made / "below" / "weights.bin").write_bytes((made / "weights.bin").read_bytes())
    (made / "link.bin").symlink_to(tmp_path / "secret.bin")
    (made / "linked").symlink_to(tmp_path)
    return made


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_no_file_outside_is_read(folder: Path, place: Callable[[Any], Any]) -> None:
    path = folder / "graph.onnx"
    for location in OUTSIDE:
        path.write_bytes(place(tensor(location)).SerializeToString())
        with pytest.raises(ModelError, match="no file in the folder of the model"):
            open_session(path, 1)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("location", ["weights.bin", "below/weights.bin"])
def test_a_file_inside_is(folder: Path, place: Callable[[Any], Any], location: str) -> None:
    path = folder / "graph.onnx"
    path.write_bytes(place(tensor(location)).SerializeToString())
    require_own_folder(path)
    if place is initializer:
        (out,) = open_session(path, 1).run(None, {})
        assert out.tolist() == list(range(8))


def test_the_cache_of_the_hub_keeps_files_as_links(folder: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (folder / "weights.bin").rename(blobs / "1")
    (blobs / "2").write_bytes(initializer(tensor("weights.bin")).SerializeToString())
    (snapshot / "weights.bin").symlink_to("../../blobs/1")
    (snapshot / "graph.onnx").symlink_to("../../blobs/2")
    require_own_folder(snapshot / "graph.onnx")


@pytest.mark.parametrize("name", ["passwd.onnx", "dotdot.onnx"])
def test_forged_models(tmp_path: Path, name: str) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(shared_path(f"cases/files/{name}").read_bytes())
    (tmp_path.parent / "secret").mkdir(exist_ok=True)
    (tmp_path.parent / "secret" / "secret.bin").write_bytes(bytes(32))
    with pytest.raises(ModelError, match="no file in the folder of the model"):
        open_session(path, 1)


def _tensors(message: Any) -> set[str]:
    """Return the locations that protobuf finds, message by message."""
    if isinstance(message, TensorProto):
        values = [entry.value for entry in message.external_data if entry.key == "location"]
        # protobuf gives bytes for what is no UTF-8.
        return {v if isinstance(v, str) else v.decode("utf-8", "surrogateescape") for v in values}
    found: set[str] = set()
    for field, value in message.ListFields():
        if field.message_type is not None:
            repeated = not hasattr(value, "ListFields")
            found = found.union(*map(_tensors, value if repeated else [value]))
    return found


def test_nothing_that_protobuf_finds_is_missed(tmp_path: Path) -> None:
    """Bytes changed, cut, doubled at random: refused, or every location protobuf sees is seen."""
    rng = random.Random(17)
    path = tmp_path / "graph.onnx"
    n_parsed = 0
    for _ in range(4_000):
        data = bytearray(rng.choice(PLACES)(tensor("../x")).SerializeToString())
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            at = rng.randrange(len(data))
            edit = rng.randrange(4)
            if edit == 0:
                data[at] = rng.randrange(256)
            elif edit == 1:
                data[at:at] = rng.randbytes(rng.randrange(1, 4))
            elif edit == 2:
                data[at] |= 0x80
            else:
                data[at:at] = data[at : at + rng.randrange(40)]
        try:
            expected = _tensors(onnx.ModelProto.FromString(bytes(data)))
        except Exception:
            continue
        n_parsed += bool(expected)
        path.write_bytes(data)
        try:
            found = external_locations(path)
        except ModelError:
            continue
        assert expected <= found, bytes(data)
    assert n_parsed > 500


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"\x0f", b"\x3a\x7f", b"\xff" * 30, b"\x3a" + b"\x80" * 12],
)
def test_what_is_no_graph(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_session(path, 1)
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_session(tmp_path / "missing.onnx", 1)
