"""``lsr verify``: check the files of an index."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from typer import Option

from lsr_service.cli import options
from lsr_service.cli.terminal import one_line, tell, write, write_json


def verify(
    index: options.IndexPath,
    level: Annotated[
        int,
        Option(
            "--level",
            "-l",
            min=0,
            max=3,
            metavar="N",
            help="0: manifest and file lengths; 1: also checksums; 2: also structure; 3: also "
            "searches against a plain reference.",
        ),
    ] = 2,
    generation: Annotated[
        int | None, Option(min=1, metavar="N", help="Generation to check. Default: the newest.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Check an index without changing it.

    Exit code 0: in order; 1: damaged; 2: it cannot be read (no index, another version, no
    permission).
    """
    from lsr_index.update.verify import verify as run_verify

    report = run_verify(index, level, generation=generation)
    if json:
        write_json({"path": index, "ok": report.ok, **asdict(report)})
    else:
        for checked in report.checked:
            write(f"ok: {checked}")
        for problem in report.problems:
            tell(f"damaged: {one_line(problem)}")
        if report.unreadable is not None:
            tell(f"error: {one_line(report.unreadable)}")
        if report.ok:
            write(f"{index}: generation {report.generation} is in order")
    raise typer.Exit(report.exit_code)
