"""``lsr search``: one query, many, or a conversation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from lsr.errors import UsageError
from lsr_service.cli import hybrid_options, options
from lsr_service.cli.encoder_options import NO_OPTIONS
from lsr_service.cli.terminal import require_text, show, tell, write, write_json
from lsr_service.engine.warm_up import tell_if_compiling

if TYPE_CHECKING:
    from lsr_index.hybrid import RankedIds, Retriever

Format = Literal["text", "json", "trec"]


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
    if output is not None and (json or format not in (None, "trec")):
        raise UsageError(
            "--output writes a TREC run; leave out --json and --output-format, or redirect"
        )
    require_text("query", query)
    written = _format(format, json, trec=output is not None or topics is not None)
    as_run = topics is not None or written == "trec"
    if offset and as_run:
        raise UsageError("--offset pages through the hits of one query; a run begins at rank 1")
    condition = None if filter is None else options.filter_of(filter)
    vectors = hybrid_options.mode_of(mode, fusion, also, selective)

    from lsr_index.hybrid import Retriever

    query_encoder = None if encoder is None else NO_OPTIONS.encoder(encoder)
    with Retriever.open(index, also or (), encoder=query_encoder) as retriever:
        arguments = hybrid_options.search_arguments(
            retriever, vectors, fusion, selective, feedback, rerank, rerank_depth
        )
        arguments |= {"k": k, "filter": condition}
        tell_if_compiling()
        if as_run:
            listed = _topics(query, topics)
            texts = [text for _, text in listed]
            found = retriever.search_batch(texts, threads=threads, **arguments)
            _write_run([qid for qid, _ in listed], found, written, output, tag)
            return
        arguments |= {"offset": offset}
        plain = vectors == "sparse" and not (feedback or rerank)
        for text in _lines() if query is None else [query]:
            answer = _write_json if written == "json" else _show
            answer(retriever, text, plain, explain, arguments)


def _format(format: Format | None, json: bool, *, trec: bool) -> Format:
    if json:
        if format not in (None, "json"):
            raise UsageError(f"--json and --output-format {format} contradict each other")
        return "json"
    return format or ("trec" if trec else "text")


def _write_json(
    retriever: Retriever, query: str, plain: bool, explain: bool, arguments: dict[str, Any]
) -> None:
    from lsr_service.http.answers import search_response

    index = retriever.index
    found = retriever.search(query, explain=explain, **arguments)
    response = search_response(index.path.name, index, found, plain=plain)
    write_json({"query": query, **response.model_dump()})


def _show(
    retriever: Retriever, query: str, plain: bool, explain: bool, arguments: dict[str, Any]
) -> None:
    found = retriever.search(query, explain=True, **arguments)
    searched_all = plain and not found.hits and not arguments["offset"]
    unknown = _unknown_words(retriever, query) if searched_all else []
    from lsr_service.cli.hits import render

    show(*render(found, explain=explain, unknown=unknown))


def _unknown_words(retriever: Retriever, text: str) -> list[str]:
    """Return the words of a text that no document of the index can match."""
    from lsr.analysis.segmentation import normalise, segments, words

    distinct = dict.fromkeys(word for piece in segments(normalise(text)) for word in words(piece))
    return [word for word in distinct if not retriever.search(word, 1)]


def _write_run(
    qids: list[str], found: list[RankedIds], format: Format, output: Path | None, tag: str
) -> None:
    import orjson

    from lsr.trec.runs import Ranking, Run, run_lines, write_run

    if format != "trec":
        for qid, hits in zip(qids, found, strict=True):
            ranked = list(enumerate(zip(hits.ids, hits.scores.tolist(), strict=True), 1))
            if format == "json":
                rows = [{"rank": rank, "id": id, "score": score} for rank, (id, score) in ranked]
                write(orjson.dumps({"qid": qid, "hits": rows}).decode())
                continue
            for rank, (id, score) in ranked:
                write(f"{qid}\t{rank}\t{id}\t{score:.4f}")
        return
    rankings = {
        qid: Ranking.of(hits.ids, hits.scores) for qid, hits in zip(qids, found, strict=True)
    }
    run = Run(tag, rankings)
    if output is None:
        sys.stdout.writelines(run_lines(run))
    else:
        write_run(run, output)
        tell(f"{output}: {run.n_hits:,} hits for {len(rankings):,} topics")


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
