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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lsr.encoders.neural.onnx_vectors import INPUT, TERMS, WEIGHTS
from lsr.errors import MissingDependencyError
from lsr_training.models.backbone import Backbone, quiet

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

    Raises
    ------
    MissingDependencyError
        Without onnx and onnxscript.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # what torch exports with
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingDependencyError("the export to ONNX", "torch") from error
    with tempfile.TemporaryDirectory() as name:
        plain, small = Path(name) / "plain.onnx", Path(name) / "small.onnx"
        with _silent():
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
    _shrink_embeddings(model, backbone.n_terms)
    weight = backbone.decoder.weight.detach().float().numpy()[terms]
    bias = backbone.bias.detach().float().numpy()[terms]
    _add_projection(model, weight, bias, terms)
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
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        parts = [graph, *graph.node, *graph.value_info]
        if graph is model.graph:
            parts += [*graph.input, *graph.output, *graph.initializer]
        for part in parts:
            part.ClearField("doc_string")
            part.ClearField("metadata_props")


def _shrink_embeddings(model: Any, n_terms: int) -> None:
    """Store the table of token embeddings in int8, one scale a token."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    tables = {t.name: t for t in graph.initializer if len(t.dims) == 2 and t.dims[0] == n_terms}
    found = [i for i, n in enumerate(graph.node) if n.op_type == "Gather" and n.input[0] in tables]
    if not found:
        return
    place = found[0]
    node = graph.node[place]
    table = tables[node.input[0]]
    values = numpy_helper.to_array(table)
    scale = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12).astype(np.float32) / 127
    ids, output = node.input[1], node.output[0]
    gathered = [
        helper.make_node("Gather", ["token_int8", ids], ["token_steps"]),
        helper.make_node("Cast", ["token_steps"], ["token_floats"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["token_scale", ids], ["token_scales"]),
        helper.make_node("Mul", ["token_floats", "token_scales"], [output]),
    ]
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*others[:place], *gathered, *others[place + 1 :]])
    graph.initializer.remove(table)
    steps = np.rint(values / scale).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(steps, "token_int8"))
    graph.initializer.append(numpy_helper.from_array(scale, "token_scale"))


def _add_projection(
    model: Any, weight: NDArray[np.float32], bias: NDArray[np.float32], terms: NDArray[np.int64]
) -> None:
    from onnx import TensorProto, helper, numpy_helper

    scale = np.maximum(np.abs(weight).max(axis=1), 1e-12) / 127
    quantised = np.rint(weight / scale[:, None]).astype(np.int8)
    constants: dict[str, NDArray[Any]] = {
        "term_scale": scale.astype(np.float32),
        "term_bias": bias.astype(np.float32),
        "all_tokens": np.zeros(1, np.int64),
        "term_ids": terms.astype(np.int64),
        "one": np.ones(1, np.float32),
    }
    nodes = [helper.make_node("DynamicQuantizeLinear", [_STATES], ["x", "x_scale", "x_zero"])]
    blocks = []
    for number, low in enumerate(range(0, len(terms), BLOCK_TERMS)):
        block, logits, largest = f"terms_{number}", f"logits_{number}", f"largest_{number}"
        constants[block] = np.ascontiguousarray(quantised[low : low + BLOCK_TERMS].T)
        nodes.append(helper.make_node("MatMulInteger", ["x", block, "x_zero"], [logits]))
        nodes.append(helper.make_node("ReduceMax", [logits, "all_tokens"], [largest], keepdims=0))
        blocks.append(largest)
    for operation, inputs, output, more in _finish(blocks):
        nodes.append(helper.make_node(operation, inputs, [output], **more))
    graph = model.graph
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    del graph.output[:]
    n = len(terms)
    graph.output.extend(
        [
            helper.make_tensor_value_info(WEIGHTS, TensorProto.FLOAT, [n]),
            helper.make_tensor_value_info(TERMS, TensorProto.INT64, [n]),
        ]
    )


def _finish(blocks: Sequence[str]) -> list[tuple[str, list[str], str, dict[str, Any]]]:
    return [
        ("Concat", list(blocks), "largest", {"axis": 0}),
        ("Cast", ["largest"], "largest_float", {"to": 1}),
        ("Mul", ["term_scale", "x_scale"], "scale", {}),
        ("Mul", ["largest_float", "scale"], "scaled", {}),
        ("Add", ["scaled", "term_bias"], "logits", {}),
        ("Relu", ["logits"], "positive", {}),
        ("Add", ["positive", "one"], "above_one", {}),
        ("Log", ["above_one"], WEIGHTS, {}),
        ("Identity", ["term_ids"], TERMS, {}),
    ]
