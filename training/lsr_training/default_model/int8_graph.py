"""Int8 ONNX graph of a sentence encoder with a sparse head; weights are in a safetensors file.

The graph takes the pieces of one text and returns the heaviest terms of its vector. It is written
node by node: the graph of torch's exporter is a fifth slower and five times as large. Weights are
references into ``model.safetensors``, so that they are stored once.

* Products with matrices are 8-bit, one scale a column and one for the input at hand. Inputs are
  smoothed: large values are moved into the matrix (Xiao et al., "SmoothQuant", ICML 2023,
  §4), which keeps three times as much of the embedding.
* Token embeddings are 4-bit, a scale for each `EMBEDDING_BLOCK` numbers.
* The head is `relu(terms @ (reduced @ (e - centre)) - thresholds)` of the normalised mean `e` of
  the states, and its `top_k` largest entries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from lsr.encoders.neural.onnx_vectors import GRAPH, INPUT, TERMS, WEIGHTS

EMBEDDING_BLOCK = 64
FILE = "model.safetensors"
_OPSET, _MICROSOFT = 18, "com.microsoft"

Array = NDArray[Any]


class Head(NamedTuple):
    """Sparse head: parameters that turn an embedding into term weights.

    Attributes
    ----------
    term_ids : (n,) int64
    terms : (n, rank) float32
    reduced : (rank, n_hidden) float32
    centre : (n_hidden,) float32
        Mean embedding of documents.
    thresholds : (n,) float32
    top_k : int
    """

    term_ids: NDArray[np.int64]
    terms: NDArray[np.float32]
    reduced: NDArray[np.float32]
    centre: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    top_k: int


class Shape(NamedTuple):
    """Shape of a BERT: layers, heads, longest input, epsilon."""

    n_layers: int
    n_heads: int
    max_length: int
    epsilon: float


class _Graph:
    """Graph under construction: nodes and the tensors they use."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.tensors: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}

    def keep(self, name: str, values: Array) -> str:
        """Store a tensor in the file of weights."""
        self.tensors[name] = np.ascontiguousarray(values)
        return name

    def constant(self, name: str, *values: int, dtype: Any = np.int64, scalar: bool = False) -> str:
        """Store a few numbers in the graph itself, where shapes are inferred from them."""
        self.constants[name] = np.array(values[0] if scalar else values, dtype)
        return name

    def add(self, operation: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operation, list(inputs), [output], domain=domain, **attributes)
        )
        return output

    def add_many(self, operation: str, inputs: list[str], outputs: int) -> list[str]:
        from onnx import helper

        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operation, inputs, names))
        return names


def write_graph(
    weights: Mapping[str, Array],
    shape: Shape,
    smoothing: Mapping[str, NDArray[np.float32]],
    head: Head | None,
    folder: Path,
    more: Mapping[str, Array] | None = None,
) -> None:
    """Write graph and weights into a folder.

    Parameters
    ----------
    weights : mapping of str to float32
        Of a BERT without a head, under the names of transformers.
    shape : Shape
    smoothing : mapping of str to (n,) float32
        From `lsr_training.default_model.smoothing.measure_smoothing`.
    head : Head or None
        None writes a graph of the embedding: ``weights`` are its numbers, ``terms`` 0, 1, 2, ….
    folder : Path
    more : mapping, optional
        Stored beside the weights.
    """
    graph = _Graph()
    states = _embed(graph, weights, shape)
    for layer in range(shape.n_layers):
        states = _layer(graph, weights, shape, smoothing, f"encoder.layer.{layer}.", states)
    embedding = _normalised_mean(graph, states)
    if head is None:
        size = weights["embeddings.word_embeddings.weight"].shape[1]
        outputs = [
            graph.add("Identity", embedding),
            graph.add("Identity", graph.keep("dimensions", np.arange(size, dtype=np.int64))),
        ]
    else:
        outputs = _head(graph, head, embedding)
    _save(graph, outputs, folder, more or {})


def _embed(graph: _Graph, weights: Mapping[str, Array], shape: Shape) -> str:
    """Return the states before the first layer, (1, length, n_hidden)."""
    packed, scales = pack_int4(weights["embeddings.word_embeddings.weight"])
    rows = graph.add("Gather", graph.keep("embeddings.words.int4", packed), INPUT)
    low = graph.add("BitwiseAnd", rows, graph.constant("low_bits", 15, dtype=np.uint8, scalar=True))
    high = graph.add(
        "BitShift", rows, graph.constant("bits", 4, dtype=np.uint8, scalar=True), direction="RIGHT"
    )
    steps = graph.add("Cast", graph.add("Concat", low, high, axis=-1), to=1)
    steps = graph.add("Sub", steps, graph.constant("middle", 8, dtype=np.float32, scalar=True))
    blocks = graph.constant("blocks", 1, -1, scales.shape[1], EMBEDDING_BLOCK)
    steps = graph.add("Reshape", steps, blocks)
    scale = graph.add("Gather", graph.keep("embeddings.words.scale", scales[:, :, None]), INPUT)
    words = graph.add("Mul", steps, scale)
    hidden = scales.shape[1] * EMBEDDING_BLOCK
    words = graph.add("Reshape", words, graph.constant("row", 1, -1, hidden))
    positions = weights["embeddings.position_embeddings.weight"][: shape.max_length]
    # There is one segment, so its embedding is part of every position.
    positions = positions + weights["embeddings.token_type_embeddings.weight"][0]
    places = graph.keep("embeddings.positions", positions.astype(np.float16))
    length = graph.add("Shape", INPUT, start=1, end=2)
    first = graph.constant("first", 0)
    placed = graph.add("Cast", graph.add("Slice", places, first, length, first), to=1)
    return _normalise(graph, weights, "embeddings.LayerNorm", graph.add("Add", words, placed),
                      shape.epsilon)  # fmt: skip


def _layer(
    graph: _Graph,
    weights: Mapping[str, Array],
    shape: Shape,
    smoothing: Mapping[str, NDArray[np.float32]],
    prefix: str,
    states: str,
) -> str:
    attended = _attention(graph, weights, shape, smoothing, prefix, states)
    output = _product(graph, weights, prefix + "attention.output.dense", attended,
                      smoothing[prefix + "attention.output.dense"], folded=True)  # fmt: skip
    states = _normalise(graph, weights, prefix + "attention.output.LayerNorm",
                        graph.add("Add", output, states), shape.epsilon)  # fmt: skip
    inner = _product(graph, weights, prefix + "intermediate.dense", states,
                     smoothing[prefix + "intermediate.dense"])  # fmt: skip
    inner = graph.add("Gelu", inner, domain=_MICROSOFT)
    output = _product(graph, weights, prefix + "output.dense", inner,
                      smoothing[prefix + "output.dense"])  # fmt: skip
    return _normalise(graph, weights, prefix + "output.LayerNorm",
                      graph.add("Add", output, states), shape.epsilon)  # fmt: skip


def _attention(
    graph: _Graph,
    weights: Mapping[str, Array],
    shape: Shape,
    smoothing: Mapping[str, NDArray[np.float32]],
    prefix: str,
    states: str,
) -> str:
    name = prefix + "attention.self."
    factor = smoothing[name + "query"]
    # What follows divides the attended values; these are linear in the value matrix.
    folded = smoothing[prefix + "attention.output.dense"]
    parts = [weights[f"{name}{part}.weight"].T for part in ("query", "key", "value")]
    biases = [weights[f"{name}{part}.bias"] for part in ("query", "key", "value")]
    matrix = np.hstack([*parts[:2], parts[2] / folded]) * factor[:, None]
    bias = np.concatenate([*biases[:2], biases[2] / folded])
    quantised, scale = quantise_columns(matrix)
    inverse = graph.keep(name + "smoothing", (1 / factor).astype(np.float32))
    x, x_scale, x_zero = graph.add_many(
        "DynamicQuantizeLinear", [graph.add("Mul", states, inverse)], 3
    )
    return graph.add(
        "QAttention",
        x,
        graph.keep(name + "int8", quantised),
        graph.keep(name + "bias", bias.astype(np.float32)),
        x_scale,
        graph.keep(name + "scale", scale),
        "",
        x_zero,
        graph.keep(name + "zeros", np.zeros(len(scale), np.int8)),
        domain=_MICROSOFT,
        num_heads=shape.n_heads,
    )


def _product(
    graph: _Graph,
    weights: Mapping[str, Array],
    name: str,
    states: str,
    factor: NDArray[np.float32],
    *,
    folded: bool = False,
) -> str:
    """Multiply by a matrix in int8; `folded` inputs come divided by `factor`."""
    if not folded:
        inverse = graph.keep(name + ".smoothing", (1 / factor).astype(np.float32))
        states = graph.add("Mul", states, inverse)
    matrix = weights[name + ".weight"].T * factor[:, None]
    return _int8_product(graph, name, states, matrix, weights[name + ".bias"])


def _int8_product(graph: _Graph, name: str, states: str, matrix: Array, bias: Array) -> str:
    quantised, scale = quantise_columns(matrix)
    return graph.add(
        "DynamicQuantizeMatMul",
        states,
        graph.keep(name + ".int8", quantised),
        graph.keep(name + ".scale", scale),
        "",
        graph.keep(name + ".bias", bias.astype(np.float32)),
        domain=_MICROSOFT,
    )


def _normalise(
    graph: _Graph, weights: Mapping[str, Array], name: str, states: str, epsilon: float
) -> str:
    scale = graph.keep(name + ".weight", weights[name + ".weight"].astype(np.float32))
    bias = graph.keep(name + ".bias", weights[name + ".bias"].astype(np.float32))
    return graph.add("LayerNormalization", states, scale, bias, epsilon=epsilon)


def _normalised_mean(graph: _Graph, states: str) -> str:
    tokens = graph.constant("tokens", 1)
    mean = graph.add("ReduceMean", states, tokens, keepdims=0)
    return graph.add("LpNormalization", mean, axis=-1, p=2)


def _head(graph: _Graph, head: Head, embedding: str) -> list[str]:
    centred = graph.add("Sub", embedding, graph.keep("head.centre", head.centre))
    reduced = graph.add("MatMul", centred, graph.keep("head.reduced", head.reduced.T))
    scores = _int8_product(graph, "head.terms", reduced, head.terms.T, -head.thresholds)
    scores = graph.add("Relu", scores)
    k = graph.constant("top_k", head.top_k)
    largest, places = graph.add_many("TopK", [scores, k], 2)
    ids = graph.add("Gather", graph.keep("head.term_ids", head.term_ids), places)
    return [largest, ids]


def quantise_columns(matrix: Array) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return int8 steps and the size of a step for each column."""
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-12) / 127
    return np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32)


def pack_int4(table: Array) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return two numbers a byte, and the size of a step for each block of a row.

    Parameters
    ----------
    table : (n, m) float32
        `m` is a multiple of twice `EMBEDDING_BLOCK`.

    Returns
    -------
    packed : (n, m / 2) uint8
        Column `j` in the low bits of byte `j`, column `j + m / 2` in its high bits; 8 is zero.
    scale : (n, m / EMBEDDING_BLOCK) float32
    """
    blocks = table.reshape(len(table), -1, EMBEDDING_BLOCK)
    scale = np.maximum(np.abs(blocks).max(axis=2), 1e-12) / 7.5
    steps = np.clip(np.rint(blocks / scale[:, :, None]), -8, 7) + 8
    low, high = np.split(steps.reshape(table.shape).astype(np.uint8), 2, axis=1)
    return low | high << 4, scale.astype(np.float32)


def _save(graph: _Graph, outputs: list[str], folder: Path, more: Mapping[str, Array]) -> None:
    from onnx import TensorProto, checker, helper, numpy_helper

    path = folder / FILE
    path.write_bytes(save({**graph.tensors, **more}, metadata={"format": "np"}))
    places = _offsets(path)
    made = helper.make_graph(
        [
            *graph.nodes,
            *(
                helper.make_node("Squeeze", [output], [name])
                for output, name in zip(outputs, (WEIGHTS, TERMS), strict=True)
            ),
        ],
        "encoder",
        [helper.make_tensor_value_info(INPUT, TensorProto.INT64, [1, "length"])],
        [
            helper.make_tensor_value_info(WEIGHTS, TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info(TERMS, TensorProto.INT64, ["n"]),
        ],
        [
            *(numpy_helper.from_array(values, name) for name, values in graph.constants.items()),
            *(_place(name, values, places[name]) for name, values in graph.tensors.items()),
        ],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=10)
    (folder / GRAPH).write_bytes(model.SerializeToString())
    checker.check_model(str(folder / GRAPH))


def _offsets(path: Path) -> dict[str, int]:
    """Return where each tensor of a safetensors file begins."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {name: 8 + size + entry["data_offsets"][0] for name, entry in header.items()}


def _place(name: str, values: Array, offset: int) -> Any:
    from onnx import TensorProto, helper

    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(values.dtype))
    tensor.dims.extend(values.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", FILE), ("offset", offset), ("length", values.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
