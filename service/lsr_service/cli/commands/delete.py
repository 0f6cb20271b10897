"""``lsr delete``: take documents out of an index."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer import Argument, Option

from lsr.errors import IndexStateError, UsageError
from lsr_service.cli import options
from lsr_service.cli.terminal import counted, one_line, tell, write_result

N_EXAMPLES = 3


class Matched(NamedTuple):
    """What a filter selects in one generation; `examples` are its first document ids."""

    n_docs: int
    n_matched: int
    examples: list[str]
    generation: int

    def __str__(self) -> str:
        shown = ", ".join(one_line(doc_id) for doc_id in self.examples)
        more = ", …" if self.n_matched > len(self.examples) else ""
        listed = f": {shown}{more}" if shown else ""
        return f"{self.n_matched:,} of {self.n_docs:,} documents match{listed}"


def delete(
    index: options.IndexPath,
    ids: Annotated[list[str] | None, Argument(metavar="ID", help="Ids of documents.")] = None,
    ids_from: Annotated[
        list[Path] | None,
        Option(
            metavar="FILE", help="File with one id a line, - for standard input; can be repeated."
        ),
    ] = None,
    filter: Annotated[
        str | None,
        Option(
            metavar="JSON",
            help='Documents whose metadata match, as in \'{"year": {"$lt": 2000}}\'.',
        ),
    ] = None,
    yes: Annotated[
        bool,
        Option("--yes", "-y", help="Delete what --filter matches without asking; for scripts."),
    ] = False,
    all: Annotated[
        bool, Option("--all", help="Allow a --filter that matches every document.")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Show what --filter matches; delete nothing.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Delete documents by id or by filter, all in one commit.

    A filter shows how many documents it matches and asks before it deletes them. An unknown
    id is no error. Disk space is freed when segments are merged; lsr compact does that at once.
    """
    from lsr.corpus.lines import read_text_lines
    from lsr_index.update.writer import IndexWriter

    if not (ids or ids_from or filter):
        raise UsageError("say which documents: give IDs, --ids-from or --filter")
    if dry_run and filter is None:
        raise UsageError("--dry-run shows what a --filter matches; give one")
    condition = None if filter is None else options.filter_of(filter)
    wanted = list(ids or ())
    for file in ids_from or ():
        wanted += [doc_id for _, doc_id in read_text_lines(file)]
    matched = None if condition is None else _matching(index, condition)
    if matched is not None and dry_run:
        figures = {
            "path": str(index),
            "dry_run": True,
            "matched": matched.n_matched,
            "examples": matched.examples,
            "n_docs": matched.n_docs,
            "generation": matched.generation,
        }
        write_result(figures, f"{index}: {matched}; nothing was deleted", json=json)
        return
    if matched is not None:
        _require_consent(index, matched, yes=yes, all=all)
    with IndexWriter(index) as writer:
        if matched is not None and writer.generation != matched.generation:
            raise IndexStateError(
                f"{index}: the index was changed meanwhile, so the filter may match other "
                "documents; nothing was deleted. Run the command again"
            )
        n_deleted = writer.delete(wanted)
        if condition is not None:
            n_deleted += writer.delete_where(condition, allow_all=all)
        if n_deleted == 0:
            writer.rollback()
        done = writer.commit()
    text = (
        f"{index}: {counted(n_deleted, 'document')} deleted, {done.n_docs:,} left in generation "
        f"{done.generation}"
    )
    write_result({"path": str(index), "deleted": n_deleted, **done._asdict()}, text, json=json)


def _matching(path: Path, condition: dict[str, Any]) -> Matched:
    from lsr_index.search.index import open_index

    with open_index(path) as index:
        ordinals = index.select(condition)
        examples = index.doc_ids(ordinals[:N_EXAMPLES].tolist())
        return Matched(index.n_docs, len(ordinals), examples, index.generation)


def _require_consent(path: Path, matched: Matched, *, yes: bool, all: bool) -> None:
    """Ask on a terminal, unless --yes is given.

    Raises UsageError where the filter matches every document without --all, or where there is no
    terminal, and typer.Exit where the answer is no.
    """
    if not matched.n_matched:
        return
    if matched.n_matched == matched.n_docs and not all:
        raise UsageError(
            f"{path}: the filter matches every document ({matched.n_docs:,}); nothing was deleted. "
            "Add --all if that is meant, or remove the folder"
        )
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{path}: {matched}; nothing was deleted, since there is no terminal to ask on. "
            "Add --yes to delete them"
        )
    tell(f"{path}: {matched}")
    if not typer.confirm("Delete them?", err=True):
        tell("nothing was deleted")
        raise typer.Exit(1)
