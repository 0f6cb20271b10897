"""``lsr demo``: the documentation of this Python, indexed and searched."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from lsr.errors import IndexFormatError, IndexNotFoundError
from lsr.models import DEFAULT
from lsr.progress import Progress
from lsr_service.cli import options
from lsr_service.cli.terminal import (
    program,
    progress,
    quoted,
    resumable,
    show,
    tell,
    write,
    write_json,
)
from lsr_service.engine.warm_up import tell_if_compiling, warm_up

if TYPE_CHECKING:
    from lsr_index.hybrid import Retriever

QUERIES = (
    "temporary file that is deleted when it is closed",
    "cancel a running asyncio task",
    "read a csv file with a header",
    "round a decimal number",
)
HITS_SHOWN = 3


def demo(
    folder: Annotated[
        Path | None,
        Argument(
            metavar="FOLDER",
            help="Where the index is made. Default: ~/.cache/lsr.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Index the documentation of this Python and search it.

    Takes a minute or two; a second run uses the index that is there.
    """
    folder = folder or _cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "python-docs.index"
    retriever, built = existing(path), ""
    if retriever is None:
        with resumable("indexing"), progress() as shown:
            retriever, built = _build(path, shown)
    with retriever:
        tell_if_compiling()
        warm_up(retriever)
        answers = [(query, retriever.search(query, HITS_SHOWN, explain=True)) for query in QUERIES]
        if json:
            write_json(_summary(path, retriever, answers))
            return
        write(built or f"{path}: {retriever.index.n_docs:,} passages, indexed before")
        _show(answers)
        _show_next(path)


def existing(path: Path) -> Retriever | None:
    """Open the index of an earlier run; None when there is none that can be read."""
    from lsr_index.hybrid import Retriever

    try:
        return Retriever.open(path)
    except IndexNotFoundError:
        return None
    except IndexFormatError as error:
        tell(f"the index of an earlier run cannot be used and is made again: {error}")
        _move_aside(path)
        return None


def _build(path: Path, shown: Progress) -> tuple[Retriever, str]:
    from lsr.corpus import open_corpus
    from lsr.encoders import load_encoder
    from lsr_index.build.index_corpus import index_corpus
    from lsr_index.hybrid import Retriever

    started = time.perf_counter()
    corpus = open_corpus("python-docs")
    with index_corpus(corpus, load_encoder(DEFAULT), path, progress=shown) as made:
        n_docs = made.n_docs
    seconds = time.perf_counter() - started
    rate = n_docs / seconds
    return Retriever.open(path), (
        f"{corpus.name}: {n_docs:,} passages indexed in {seconds:.1f} s ({rate:,.0f} docs/s)"
    )


def _show(answers: list[tuple[str, Any]]) -> None:
    from rich.text import Text

    from lsr_service.cli.hits import render

    for query, answer in answers:
        show("", Text(f"query: {query}", style="bold blue"), *render(answer))


def _show_next(path: Path) -> None:
    lsr, index = program(), quoted(path)
    write(
        f"\nTry next:\n"
        f'  {lsr} search {index} "your own question" --explain\n'
        f"  {lsr} serve {index}          # then open http://127.0.0.1:8080\n"
        f"  {lsr} index FOLDER -o my.index        # your own documents"
    )


def _summary(path: Path, retriever: Retriever, answers: list[tuple[str, Any]]) -> dict[str, Any]:
    from lsr_service.http.answers import search_response

    index = retriever.index
    found = [
        {"query": query, **search_response(path.stem, index, answer, plain=True).model_dump()}
        for query, answer in answers
    ]
    return {"path": str(path), "n_docs": index.n_docs, "answers": found}


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lsr"


def _move_aside(path: Path) -> None:
    """Keep what cannot be read: it is not ours to delete."""
    number = 1
    while (aside := path.with_name(f"{path.name}.unreadable-{number}")).exists():
        number += 1
    path.rename(aside)
