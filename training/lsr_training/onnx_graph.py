"""Export of a document encoder as one int8 ONNX graph: token ids in, term weights out.

The vocabulary projection, nine tenths of the work of a small encoder, is written by hand: an int8
product in blocks of terms that fit the cache, each reduced over the tokens before the next. Scaling
and bias are applied after the maximum. Token embeddings are int8 with a scale for each. The
transformer is exported by torch; its matrices are quantised by onnxruntime on demand, which pays
for larger models.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsr.encoders.neural.onnx_vectors import INPUT, TERMS, WEIGHTS
from lsr.encoders.neural.transformer_body import quiet
from lsr.errors import MissingDependencyError
from lsr_training.models.backbone import Backbone

try:
    import onnx
    import onnxscript  # noqa: F401  # what torch exports with
    from onnx import TensorProto, numpy_helper
    from onnx.helper import make_node, make_tensor_value_info
    from onnxruntime.quantization import QuantType, quantize_dynamic
except ImportError as error:
    raise MissingDependencyError("the export to ONNX", "torch") from error

from lsr_training.default_model.int8_graph import quantise_columns

BLOCK_TERMS = 2048
_STATES = "states"
_OPSET = 20


class _Body(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.model = backbone.body

    def forward(self, ids: Tensor) -> Tensor:
        states: Tensor = self.model(input_ids=ids).logits[0]
        return states


def export_graph(
    backbone: Backbone, terms: NDArray[np.int64], path: Path, *, int8_body: bool = True
) -> None:
    """Write the graph of a max-pooling encoder.

    Parameters
    ----------
    backbone : Backbone
        On the CPU.
    terms : (n,) int64
        Terms that may become active; the others are left out.
    path : Path
    int8_body : bool
        Quantise the transformer as well. It does not pay for a small one: two layers of 128
        become a tenth faster, with three times the error against torch.
    """
    with tempfile.TemporaryDirectory() as name, _silent():
        plain, small = Path(name) / "plain.onnx", Path(name) / "small.onnx"
        _export_body(backbone, plain)
        if int8_body:
            quantize_dynamic(
                plain,
                small,
                weight_type=QuantType.QInt8,
                per_channel=True,
                op_types_to_quantize=["MatMul"],
            )
        model = onnx.load(small if int8_body else plain)
    _forget_origin(model)
    _shrink_embeddings(model.graph, backbone.n_terms)
    weight = backbone.decoder.weight.detach().float().numpy()[terms]
    bias = backbone.bias.detach().float().numpy()[terms]
    _add_projection(model.graph, weight, bias, terms)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress the warnings of the exporters."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _export_body(backbone: Backbone, path: Path) -> None:
    ids = torch.ones((1, backbone.max_length // 2), dtype=torch.int64)
    program = torch.onnx.export(
        _Body(backbone).eval(),
        (ids,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[_STATES],
        dynamic_shapes=({1: torch.export.Dim("length", min=3, max=backbone.max_length)},),
        opset_version=_OPSET,
        verbose=False,
    )
    program.save(path)


def _forget_origin(model: Any) -> None:
    """Remove the exporter's metadata about source code and folders."""
    graph = model.graph
    parts = [*graph.input, *graph.output, *graph.initializer]
    for scope in (graph, *model.functions):
        parts += [scope, *scope.node, *scope.value_info]
    for part in parts:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def _shrink_embeddings(graph: Any, n_terms: int) -> None:
    """Store the table of token embeddings in int8, one scale a token."""
    tables = {t.name: t for t in graph.initializer if len(t.dims) == 2 and t.dims[0] == n_terms}
    nodes = list(graph.node)
    found = [i for i, n in enumerate(nodes) if n.op_type == "Gather" and n.input[0] in tables]
    if not found:
        return
    place = found[0]
    (table, ids), (output,) = nodes[place].input, nodes[place].output
    nodes[place : place + 1] = [
        make_node("Gather", ["token_int8", ids], ["token_steps"]),
        make_node("Cast", ["token_steps"], ["token_floats"], to=TensorProto.FLOAT),
        make_node("Gather", ["token_scale", ids], ["token_scales"]),
        make_node("Mul", ["token_floats", "token_scales"], [output]),
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    steps, scale = quantise_columns(numpy_helper.to_array(tables[table]).T)
    graph.initializer.remove(tables[table])
    graph.initializer.append(numpy_helper.from_array(steps.T, "token_int8"))
    graph.initializer.append(numpy_helper.from_array(scale[:, None], "token_scale"))


def _add_projection(
    graph: Any, weight: NDArray[np.float32], bias: NDArray[np.float32], terms: NDArray[np.int64]
) -> None:
    quantised, scale = quantise_columns(weight.T)
    n = len(terms)
    constants: dict[str, NDArray[Any]] = {
        "term_scale": scale,
        "term_bias": bias,
        "all_tokens": np.zeros(1, np.int64),
        "term_ids": terms.astype(np.int64),
        "one": np.ones(1, np.float32),
    }
    nodes = [make_node("DynamicQuantizeLinear", [_STATES], ["x", "x_scale", "x_zero"])]
    blocks = []
    for number, low in enumerate(range(0, n, BLOCK_TERMS)):
        block, logits, largest = f"terms_{number}", f"logits_{number}", f"largest_{number}"
        constants[block] = quantised[:, low : low + BLOCK_TERMS]
        nodes.append(make_node("MatMulInteger", ["x", block, "x_zero"], [logits]))
        nodes.append(make_node("ReduceMax", [logits, "all_tokens"], [largest], keepdims=0))
        blocks.append(largest)
    nodes += [
        make_node("Concat", blocks, ["largest"], axis=0),
        make_node("Cast", ["largest"], ["largest_float"], to=TensorProto.FLOAT),
        make_node("Mul", ["term_scale", "x_scale"], ["scale"]),
        make_node("Mul", ["largest_float", "scale"], ["scaled"]),
        make_node("Add", ["scaled", "term_bias"], ["logits"]),
        make_node("Relu", ["logits"], ["positive"]),
        make_node("Add", ["positive", "one"], ["above_one"]),
        make_node("Log", ["above_one"], [WEIGHTS]),
        make_node("Identity", ["term_ids"], [TERMS]),
    ]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    del graph.output[:]
    for name, kind in ((WEIGHTS, TensorProto.FLOAT), (TERMS, TensorProto.INT64)):
        graph.output.append(make_tensor_value_info(name, kind, [n]))
