"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
Memory = Annotated[
    str, Option("--memory", metavar="SIZE", help="Bound on working memory, as 512M or 2G.")
]
Threads = Annotated[int, Option("--threads", min=1, metavar="N", help="Searches at a time.")]


class OnError(StrEnum):
    """What to do with a malformed line."""

    FAIL = "fail"
    SKIP = "skip"


OnErrorOption = Annotated[
    OnError,
    Option("--on-error", help="fail: a malformed line stops the job; skip: it is left out."),
]

MaxErrors = Annotated[
    int | None,
    Option(
        "--max-errors",
        min=0,
        metavar="N",
        help="With --on-error skip: stop after N malformed lines.",
    ),
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
    Option(
        "--split", metavar="NAME", help="Split of a BEIR collection whose judgments count (test)."
    ),
]

Filter = Annotated[
    str | None,
    Option(
        "--filter",
        metavar="JSON",
        help="Only documents whose metadata match, as in "
        '\'{"lang": "en", "year": {"$gte": 2000}}\'.',
    ),
]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def bytes_of(size: str) -> int:
    """Read a size such as ``512M`` or ``2GB``.

    Raises
    ------
    UsageError
    """
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


def corpus_of(source: str, format: str | None, on_error: OnError, max_errors: int | None) -> Corpus:
    """Open the corpus that the options name."""
    from lsr.corpus import open_corpus

    return open_corpus(
        source,
        format=format,  # type: ignore[arg-type]  # checked there, with the list in the message
        on_error=on_error.value,
        max_errors=max_errors,
    )


def filter_of(source: str) -> dict[str, Any]:
    """Read a filter from the command line.

    Raises
    ------
    UsageError
        It is no JSON object, or no filter; says which part.
    """
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


def given(**values: Any) -> dict[str, Any]:
    """Return the options that were given; the others keep the defaults of what they are for."""
    return {name: value for name, value in values.items() if value is not None}
