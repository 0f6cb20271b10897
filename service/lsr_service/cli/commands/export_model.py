"""``lsr export-model``: a model that is stored in int8, as floats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lsr_service.cli import options
from lsr_service.cli.terminal import tell, write_result

Model = Annotated[
    str, Argument(metavar="MODEL", help="lsr-tiny-en, or the folder of such a model.")
]
Output = Annotated[
    Path, Option("--output", "-o", metavar="FOLDER", help="Folder to write; it must not exist.")
]


def export_model(model: Model, output: Output, json: options.Json = False) -> None:
    """Write a model that is stored in int8 as floats, for sentence-transformers.

    The folder loads as a SparseEncoder whose queries need no network, and as --encoder.
    """
    from lsr.encoders.neural.int8_files import export_floats
    from lsr.encoders.neural.model_files import find_model

    export_floats(find_model(model), output)
    text = f"{output}: load it with sentence_transformers.SparseEncoder, or as --encoder {output}"
    write_result({"path": str(output)}, text, json=json)


def export(model: Model, output: Output, json: options.Json = False) -> None:
    """Write a model as floats: the former name of lsr export-model."""
    tell("lsr export is now lsr export-model; this spelling still works")
    export_model(model, output, json)
