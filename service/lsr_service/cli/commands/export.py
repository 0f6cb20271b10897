"""``lsr export``: a model that is stored in int8, as floats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr_service.cli import options
from lsr_service.cli.terminal import write, write_json


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="lsr-tiny-en, or the folder of such a model.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where to write: nothing is there yet.")
    ],
    json: options.Json = False,
) -> None:
    """Write a model that is stored in int8 as floats, for sentence-transformers.

    The folder loads as a SparseEncoder whose queries need no network, and as --encoder.
    """
    from lsr.encoders.neural.int8_files import export_floats
    from lsr.encoders.neural.model_files import find_model

    export_floats(find_model(model), out)
    if json:
        write_json({"path": str(out)})
    else:
        write(f"{out}: load it with sentence_transformers.SparseEncoder, or as --encoder {out}")
