"""``lsr search``: one query, many, or a conversation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lsr.errors import UsageError
from lsr_service.cli import hybrid_options, options
from lsr_service.cli.search import Page, Searcher
from lsr_service.cli.terminal import require_text, tell, write, write_json
from lsr_service.engine.warm_up import tell_if_compiling


class Format(StrEnum):
    """How hits are written."""

    TEXT = "text"
    JSON = "json"
    TREC = "trec"


def search(
    index: options.IndexPath,
    query: Annotated[
        str | None, Argument(metavar="QUERY", help="Without one, queries are read line by line.")
    ] = None,
    k: Annotated[
        int, Option("--k", "-k", min=1, max=options.MAX_K, metavar="N", help="Number of hits.")
    ] = 10,
    offset: Annotated[
        int, Option(min=0, max=options.MAX_K, metavar="N", help="Skip the first N hits.")
    ] = 0,
    topics: Annotated[
        str | None,
        Option(metavar="SOURCE", help="File of queries (TSV or JSONL), or ir-datasets:ID."),
    ] = None,
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="FILE", help="Write a TREC run to this file.")
    ] = None,
    format: Annotated[
        Format | None,
        Option(
            "--output-format",
            "-f",
            help="Format of the hits. Default: text; trec with --topics or --output.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    explain: Annotated[
        bool, Option("--explain", help="Show what each matched term contributes.")
    ] = False,
    filter: options.Filter = None,
    mode: hybrid_options.ModeOption = None,
    fusion: hybrid_options.FusionOption = None,
    also: hybrid_options.With = None,
    selective: hybrid_options.Selective = None,
    feedback: hybrid_options.FeedbackOption = None,
    rerank: hybrid_options.Rerank = None,
    rerank_depth: hybrid_options.RerankDepth = 50,
    threads: options.Threads = 1,
    encoder: Annotated[
        str | None,
        Option(metavar="NAME", help="Encoder of queries. Default: the one that the index stores."),
    ] = None,
    tag: Annotated[str, Option(metavar="NAME", help="Name of the run in a TREC file.")] = "lsr",
) -> None:
    """Search an index.

    With a QUERY, print its hits. With --topics, search all of them and print or write a run. With
    neither, read one query per line.

    Where the index has dense vectors too (lsr index --dense), --mode says which to search, and
    --fusion how the two rankings become one.
    """
    if query is not None and topics is not None:
        raise UsageError("give either a QUERY or --topics, not both")
    if (output is not None and format not in (None, Format.TREC)) or (json and output is not None):
        raise UsageError(
            "--output writes a TREC run; leave out --json and --output-format, or redirect"
        )
    require_text("query", query)
    chosen = _format(format, json, trec=output is not None or topics is not None)
    as_run = topics is not None or chosen is Format.TREC
    if offset and as_run:
        raise UsageError("--offset pages through the hits of one query; a run begins at rank 1")
    page = Page(k, offset, None if filter is None else options.filter_of(filter))
    asked = hybrid_options.HybridOptions.of(
        mode, fusion, also, selective, feedback=feedback, rerank=rerank, rerank_depth=rerank_depth
    )
    with closing(Searcher(index, encoder, asked)) as searcher:
        tell_if_compiling()
        if as_run:
            _search_run(searcher, _topics(query, topics), page, threads, chosen, output, tag)
        elif query is not None:
            _search_one(searcher, index.name, query, page, chosen, explain)
        else:
            for line in _lines():
                _search_one(searcher, index.name, line, page, chosen, explain)


def _format(format: Format | None, json: bool, *, trec: bool) -> Format:
    if json:
        if format not in (None, Format.JSON):
            raise UsageError(f"--json and --output-format {format} contradict each other")
        return Format.JSON
    return format or (Format.TREC if trec else Format.TEXT)


def _search_one(
    searcher: Searcher, name: str, query: str, page: Page, format: Format, explain: bool
) -> None:
    if format is Format.JSON:
        answer = searcher.answer(query, page, explain=explain)
        write_json({"query": query, **searcher.response(name, answer).model_dump()})
        return
    from rich.console import Console

    from lsr_service.cli.hits import render

    console = Console(highlight=False)
    answer = searcher.answer(query, page, explain=True)
    unknown = [] if answer.hits or page.offset else searcher.unknown_words(query)
    for line in render(answer, explain=explain, unknown=unknown):
        console.print(line, soft_wrap=not console.is_terminal)


def _search_run(
    searcher: Searcher,
    topics: list[tuple[str, str]],
    page: Page,
    threads: int,
    format: Format,
    output: Path | None,
    tag: str,
) -> None:
    from lsr.trec.runs import Ranking, Run, run_lines, write_run

    found = searcher.run([text for _, text in topics], page, threads=threads)
    if format is not Format.TREC:
        for (qid, _), hits in zip(topics, found, strict=True):
            _write_hits(qid, hits.ids, hits.scores.tolist(), format)
        return
    rankings = {
        qid: Ranking.of(hits.ids, hits.scores) for (qid, _), hits in zip(topics, found, strict=True)
    }
    run = Run(tag, rankings)
    if output is None:
        sys.stdout.writelines(run_lines(run))
    else:
        write_run(run, output)
        tell(f"{output}: {run.n_hits:,} hits for {len(rankings):,} topics")


def _write_hits(qid: str, ids: list[str], scores: list[float], format: Format) -> None:
    if format is Format.JSON:
        import orjson

        hits = [
            {"rank": rank, "id": id, "score": score}
            for rank, (id, score) in enumerate(zip(ids, scores, strict=True), 1)
        ]
        write(orjson.dumps({"qid": qid, "hits": hits}).decode())
        return
    for rank, (id, score) in enumerate(zip(ids, scores, strict=True), 1):
        write(f"{qid}\t{rank}\t{id}\t{score:.4f}")


def _topics(query: str | None, source: str | None) -> list[tuple[str, str]]:
    if source is not None:
        from lsr.corpus.queries import open_queries

        return [(topic.id, topic.text) for topic in open_queries(source)]
    texts = [query] if query is not None else list(_lines())
    return [(str(number), text) for number, text in enumerate(texts, 1)]


def _lines() -> Iterator[str]:
    """Read queries from standard input; with a prompt when somebody types."""
    if not sys.stdin.isatty():
        from lsr.corpus.lines import read_text_lines

        yield from (line for _, line in read_text_lines(Path("-"), blank=True))
        return
    import readline  # noqa: F401  (gives input() a history)

    tell("One query a line; an empty line or Ctrl-D ends.")
    while True:
        try:
            line = input("query> ").strip()
        except EOFError:
            break
        if not line:
            break
        yield line
