"""``lsr serve``: indexes over HTTP, with a search page."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from lsr_service.cli import options
from lsr_service.cli.terminal import tell, write_json
from lsr_service.engine.warm_up import tell_if_compiling

if TYPE_CHECKING:
    from lsr_service.settings import ServerSettings


def serve(
    indexes: Annotated[
        list[str],
        Argument(metavar="INDEX", help="Folders of indexes, as PATH or NAME=PATH; one or more."),
    ],
    host: Annotated[
        str | None, Option(metavar="ADDRESS", help="Address to listen on (127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, Option(min=0, max=65_535, metavar="N", help="Port (8080); 0 for a free one.")
    ] = None,
    threads: Annotated[
        int | None, Option(min=1, metavar="N", help="Searches at a time (the number of cores).")
    ] = None,
    fusion: Annotated[
        list[str] | None,
        Option(
            metavar="METHOD[:PARAMETERS]|FILE",
            help="As in lsr search: searches of the indexes it fits are hybrid, fused like this; "
            "can be repeated.",
        ),
    ] = None,
    selective: Annotated[
        list[Path] | None,
        Option(
            metavar="FILE",
            help="A file of lsr fit-selection: hybrid searches of the index it fits compare fewer "
            "dense vectors; can be repeated.",
        ),
    ] = None,
    rerank: Annotated[
        str | None, Option(metavar="MODEL", help="A cross-encoder that requests can use.")
    ] = None,
    insecure: Annotated[
        bool | None,
        Option(
            "--insecure",
            help="Serve other machines too, who then can read everything (and change it).",
        ),
    ] = None,
    writable: Annotated[
        bool | None,
        Option("--writable", help="Take documents over HTTP: add, replace, delete, compact."),
    ] = None,
    follow: Annotated[
        bool,
        Option(
            "--follow/--no-follow",
            help="Show what other programs commit to the indexes, within a second or so.",
        ),
    ] = True,
    allow_host: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="A host name to answer to beside localhost; can be repeated."),
    ] = None,
    access_log: Annotated[
        bool | None,
        Option("--access-log/--no-access-log", help="A line per request, without its text."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Serve indexes over HTTP, with a search page at the root.

    SIGTERM or Ctrl-C stops it in order. Settings not given here are read from LSR_SERVE_*.
    """
    from lsr_service.engine.engine import named_paths
    from lsr_service.settings import load_settings

    settings = load_settings(
        {
            "indexes": named_paths(indexes),
            "fusions": tuple(fusion) if fusion else None,
            "selections": tuple(selective) if selective else None,
            "rerank": rerank,
            "host": host,
            "port": port,
            "threads": threads,
            "insecure": insecure,
            "writable": writable,
            "follow_s": None if follow else 0.0,
            "allowed_hosts": tuple(allow_host) if allow_host else None,
            "access_log": access_log,
        }
    )
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    _serve(settings, json=json)
    tell("stopped")


def _serve(settings: ServerSettings, *, json: bool) -> None:
    from lsr_service.engine.engine import Engine
    from lsr_service.http import server
    from lsr_service.http.app import create_app

    server.require_private_address(settings)
    with server.bind(settings.host, settings.port) as listener:
        engine = Engine.of(settings)
        url = server.url_of(listener)
        tell_if_compiling()

        def announce() -> None:
            if json:
                served = {each.name: str(each.path) for each in engine}
                write_json({"url": url, "indexes": served})
                sys.stdout.flush()
            names = ", ".join(each.name for each in engine)
            tell(f"serving {names} at {url} (search page, API under /v1); Ctrl-C stops")

        server.serve(create_app(settings, engine), settings, listener, announce)
