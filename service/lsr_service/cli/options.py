"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from lsr.errors import UsageError

if TYPE_CHECKING:
    from lsr.corpus import Corpus

MAX_K = 1_000_000

IndexPath = Annotated[Path, Argument(metavar="INDEX", help="Folder of the index.")]
Source = Annotated[
    str,
    Argument(
        metavar="SOURCE",
        help="BEIR folder, .jsonl/.tsv/.csv/.parquet file (.gz too), folder of txt/md/rst/html "
        "files, ir-datasets:ID, or python-docs.",
    ),
]
Json = Annotated[bool, Option("--json", help="Print the result as JSON.")]
Memory = Annotated[str, Option(metavar="SIZE", help="Bound on working memory, as 512M or 2G.")]
Threads = Annotated[int, Option(min=1, metavar="N", help="Searches at a time.")]


OnError = Annotated[
    Literal["fail", "skip"],
    Option(help="fail: a malformed line stops the job; skip: it is left out."),
]

MaxErrors = Annotated[
    int | None,
    Option(min=0, metavar="N", help="With --on-error skip: stop after N malformed lines."),
]
CorpusFormat = Annotated[
    str | None,
    Option(
        "--input-format",
        metavar="FORMAT",
        help="beir, jsonl, tsv, csv, parquet, folder, ir-datasets or python-docs, where the name "
        "does not tell.",
    ),
]
Split = Annotated[
    str | None,
    Option(metavar="NAME", help="Split of a BEIR collection whose judgments count (test)."),
]

Filter = Annotated[
    str | None,
    Option(
        metavar="JSON",
        help="Only documents whose metadata match, as in "
        '\'{"lang": "en", "year": {"$gte": 2000}}\'.',
    ),
]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def bytes_of(size: str) -> int:
    """Read a size such as ``512M`` or ``2GB``; raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?", size.strip().lower())
    if match is None or float(match[1]) == 0:
        raise UsageError(f"{size!r} is no size; write it as 512M or 2GB")
    return int(float(match[1]) * _UNITS[match[2]])


def size(n_bytes: int) -> str:
    """Write a number of bytes for people."""
    amount, unit = float(n_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{n_bytes} B" if unit == "B" else f"{amount:.1f} {unit}"


def corpus_of(source: str, format: Any, on_error: OnError, max_errors: int | None) -> Corpus:
    """Open the corpus that the options name; its format is checked there."""
    from lsr.corpus import open_corpus

    return open_corpus(source, format=format, on_error=on_error, max_errors=max_errors)


def filter_of(source: str) -> dict[str, Any]:
    """Read a filter; raises UsageError that names the part which is wrong."""
    from lsr.corpus.jsonl import loads
    from lsr_index.search.filters import parse_filter

    try:
        parsed = loads(source)
    except ValueError as error:
        raise UsageError(
            f'the filter is not JSON ({error}); write it as \'{{"year": {{"$gte": 2000}}}}\''
        ) from None
    parse_filter(parsed)
    return dict(parsed)
