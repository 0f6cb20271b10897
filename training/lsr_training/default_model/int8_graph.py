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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, checker, external_data_helper, helper, numpy_helper
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


def write_graph(
    weights: Mapping[str, Array],
    config: Mapping[str, Any],
    smoothing: Mapping[str, NDArray[np.float32]],
    head: Head | None,
    folder: Path,
    more: Mapping[str, Array] | None = None,
) -> None:
    """Write graph and weights into a folder.

    Parameters
    ----------
    weights, config : mapping
        Of a BERT without a head, under the names of transformers.
    smoothing : mapping of str to (n,) float32
        From `lsr_training.default_model.smoothing.measure_smoothing`.
    head : Head or None
        None writes a graph of the embedding: ``weights`` are its numbers, ``terms`` 0, 1, 2, ….
    folder : Path
    more : mapping, optional
        Stored beside the weights.
    """
    graph = _Graph(weights, config, smoothing)
    states = graph.embed()
    for layer in range(config["num_hidden_layers"]):
        states = graph.layer(f"encoder.layer.{layer}.", states)
    mean = graph.add("ReduceMean", states, graph.constant("tokens", [1]), keepdims=0)
    embedding = graph.add("LpNormalization", mean, axis=-1, p=2)
    if head is None:
        size = weights["embeddings.word_embeddings.weight"].shape[1]
        outputs = [
            graph.add("Identity", embedding),
            graph.add("Identity", graph.keep("dimensions", np.arange(size, dtype=np.int64))),
        ]
    else:
        outputs = graph.head(head, embedding)
    _save(graph, outputs, folder, more or {})


class _Graph:
    """Nodes of a BERT, and the tensors that they use."""

    def __init__(
        self,
        weights: Mapping[str, Array],
        config: Mapping[str, Any],
        smoothing: Mapping[str, NDArray[np.float32]],
    ) -> None:
        self.weights = weights
        self.config = config
        self.smoothing = smoothing
        self.nodes: list[Any] = []
        self.tensors: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}

    def keep(self, name: str, values: Array) -> str:
        """Store a tensor in the file of weights."""
        self.tensors[name] = np.ascontiguousarray(values)
        return name

    def constant(self, name: str, values: int | list[int], dtype: Any = np.int64) -> str:
        """Store a few numbers in the graph itself, where shapes are inferred from them."""
        self.constants[name] = np.array(values, dtype)
        return name

    def add(self, operation: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operation, inputs, [output], domain=domain, **attributes)
        )
        return output

    def add_many(self, operation: str, *inputs: str, outputs: int) -> list[str]:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operation, inputs, names))
        return names

    def embed(self) -> str:
        """Return the states before the first layer, (1, length, n_hidden)."""
        packed, scales = pack_int4(self.weights["embeddings.word_embeddings.weight"])
        rows = self.add("Gather", self.keep("embeddings.words.int4", packed), INPUT)
        low = self.add("BitwiseAnd", rows, self.constant("low_bits", 15, np.uint8))
        bits = self.constant("bits", 4, np.uint8)
        high = self.add("BitShift", rows, bits, direction="RIGHT")
        steps = self.add("Cast", self.add("Concat", low, high, axis=-1), to=TensorProto.FLOAT)
        steps = self.add("Sub", steps, self.constant("middle", 8, np.float32))
        blocks = self.constant("blocks", [1, -1, scales.shape[1], EMBEDDING_BLOCK])
        steps = self.add("Reshape", steps, blocks)
        scale = self.add("Gather", self.keep("embeddings.words.scale", scales[:, :, None]), INPUT)
        words = self.add("Mul", steps, scale)
        hidden = scales.shape[1] * EMBEDDING_BLOCK
        words = self.add("Reshape", words, self.constant("row", [1, -1, hidden]))
        longest = self.config["max_position_embeddings"]
        positions = self.weights["embeddings.position_embeddings.weight"][:longest]
        # There is one segment, so its embedding is part of every position.
        positions = positions + self.weights["embeddings.token_type_embeddings.weight"][0]
        places = self.keep("embeddings.positions", positions.astype(np.float16))
        length = self.add("Shape", INPUT, start=1, end=2)
        first = self.constant("first", [0])
        placed = self.add("Slice", places, first, length, first)
        placed = self.add("Cast", placed, to=TensorProto.FLOAT)
        return self.normalise("embeddings.LayerNorm", self.add("Add", words, placed))

    def layer(self, prefix: str, states: str) -> str:
        """Return the states after a layer."""
        name = prefix + "attention.output"
        output = self.product(name + ".dense", self.attention(prefix, states), smoothed=True)
        states = self.normalise(name + ".LayerNorm", self.add("Add", output, states))
        inner = self.product(prefix + "intermediate.dense", states)
        inner = self.add("Gelu", inner, domain=_MICROSOFT)
        output = self.product(prefix + "output.dense", inner)
        return self.normalise(prefix + "output.LayerNorm", self.add("Add", output, states))

    def attention(self, prefix: str, states: str) -> str:
        """Return the attended values, divided by the smoothing factors of the output matrix."""
        name = prefix + "attention.self"
        factor = self.smoothing[name + ".query"]
        # The attended values are linear in the value matrix, which takes the division.
        folded = self.smoothing[prefix + "attention.output.dense"]
        parts = [self.weights[f"{name}.{part}.weight"].T for part in ("query", "key", "value")]
        biases = [self.weights[f"{name}.{part}.bias"] for part in ("query", "key", "value")]
        matrix = np.hstack([*parts[:2], parts[2] / folded]) * factor[:, None]
        bias = np.concatenate([*biases[:2], biases[2] / folded])
        quantised, scale = quantise_columns(matrix)
        smooth = self.smooth(name, states, factor)
        x, x_scale, x_zero = self.add_many("DynamicQuantizeLinear", smooth, outputs=3)
        return self.add(
            "QAttention",
            x,
            self.keep(name + ".int8", quantised),
            self.keep(name + ".bias", bias.astype(np.float32)),
            x_scale,
            self.keep(name + ".scale", scale),
            "",
            x_zero,
            self.keep(name + ".zeros", np.zeros(len(scale), np.int8)),
            domain=_MICROSOFT,
            num_heads=self.config["num_attention_heads"],
        )

    def smooth(self, name: str, states: str, factor: NDArray[np.float32]) -> str:
        return self.add("Mul", states, self.keep(name + ".smoothing", (1 / factor).astype("f4")))

    def product(self, name: str, states: str, *, smoothed: bool = False) -> str:
        """Multiply states, `smoothed` already or not yet, by a matrix in int8."""
        factor = self.smoothing[name]
        if not smoothed:
            states = self.smooth(name, states, factor)
        matrix = self.weights[name + ".weight"].T * factor[:, None]
        return self.int8_product(name, states, matrix, self.weights[name + ".bias"])

    def int8_product(self, name: str, states: str, matrix: Array, bias: Array) -> str:
        quantised, scale = quantise_columns(matrix)
        return self.add(
            "DynamicQuantizeMatMul",
            states,
            self.keep(name + ".int8", quantised),
            self.keep(name + ".scale", scale),
            "",
            self.keep(name + ".bias", bias.astype(np.float32)),
            domain=_MICROSOFT,
        )

    def normalise(self, name: str, states: str) -> str:
        scale, bias = (
            self.keep(f"{name}.{part}", self.weights[f"{name}.{part}"].astype(np.float32))
            for part in ("weight", "bias")
        )
        epsilon = self.config["layer_norm_eps"]
        return self.add("LayerNormalization", states, scale, bias, epsilon=epsilon)

    def head(self, head: Head, embedding: str) -> list[str]:
        """Return the largest scores and their terms."""
        centred = self.add("Sub", embedding, self.keep("head.centre", head.centre))
        reduced = self.add("MatMul", centred, self.keep("head.reduced", head.reduced.T))
        scores = self.int8_product("head.terms", reduced, head.terms.T, -head.thresholds)
        scores = self.add("Relu", scores)
        k = self.constant("top_k", [head.top_k])
        largest, places = self.add_many("TopK", scores, k, outputs=2)
        return [largest, self.add("Gather", self.keep("head.term_ids", head.term_ids), places)]


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
    weights = save({**graph.tensors, **more}, metadata={"format": "np"})
    (folder / FILE).write_bytes(weights)
    named = zip(outputs, (WEIGHTS, TERMS), strict=True)
    made = helper.make_graph(
        [*graph.nodes, *(helper.make_node("Squeeze", [value], [name]) for value, name in named)],
        "encoder",
        [helper.make_tensor_value_info(INPUT, TensorProto.INT64, [1, "length"])],
        [
            helper.make_tensor_value_info(WEIGHTS, TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info(TERMS, TensorProto.INT64, ["n"]),
        ],
        [
            *(numpy_helper.from_array(values, name) for name, values in graph.constants.items()),
            *_references(weights, graph.tensors),
        ],
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=10)
    (folder / GRAPH).write_bytes(model.SerializeToString())
    checker.check_model(str(folder / GRAPH))


def _references(weights: bytes, tensors: Mapping[str, Array]) -> Iterator[Any]:
    """Yield tensors that refer to their bytes in a safetensors file."""
    start = 8 + int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8:start])
    for name, values in tensors.items():
        tensor = numpy_helper.from_array(values, name)
        offset = start + header[name]["data_offsets"][0]
        external_data_helper.set_external_data(tensor, FILE, offset, values.nbytes)
        tensor.ClearField("raw_data")
        yield tensor
