"""``lsr index``: make an index of a corpus."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from lsr.errors import UsageError
from lsr.models import DEFAULT
from lsr_service.cli import options
from lsr_service.cli.encoder_options import (
    NAMES,
    NO_OPTIONS,
    DenseModel,
    EncoderOptions,
    takes_encoder_options,
)
from lsr_service.cli.terminal import (
    counted,
    program,
    progress,
    quoted,
    report_clipped,
    report_skipped,
    resumable,
    tell,
    write_result,
)

if TYPE_CHECKING:
    from lsr.corpus import Corpus
    from lsr_index import Index

PRECOMPUTED = "precomputed"


@takes_encoder_options
def index(
    source: options.Source,
    output: Annotated[
        Path, Option("--output", "-o", metavar="INDEX", help="Folder of the new index.")
    ],
    encoder: Annotated[
        str,
        Option(
            metavar="NAME",
            help=f"{DEFAULT} (comes with lsr), {NAMES}; "
            "precomputed where SOURCE is a file of sparse vectors: .parquet (id, indices, values) "
            "or JSON lines as Anserini writes them (id, vector).",
        ),
    ] = DEFAULT,
    dense: DenseModel = None,
    encoder_options: EncoderOptions = NO_OPTIONS,
    vocabulary: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Terms of precomputed vectors: a tokenizer.json, or a text file with one term a "
            "line.",
        ),
    ] = None,
    on_error: options.OnError = "fail",
    max_errors: options.MaxErrors = None,
    format: options.CorpusFormat = None,
    memory: options.Memory = "1G",
    reorder: Annotated[
        bool | None,
        Option(
            "--reorder/--no-reorder",
            help="Reorder documents so that similar ones are adjacent: slower to build; can make "
            "search faster where the order of the collection is random. Default: no.",
            show_default=False,
        ),
    ] = None,
    compact: Annotated[
        bool, Option("--compact", help="A smaller index, with somewhat slower search.")
    ] = False,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace an existing index.")] = False,
    json: options.Json = False,
) -> None:
    """Make an index of a corpus.

    Stopped with Ctrl-C or killed, the same command goes on where it was.
    """
    building: dict[str, Any] = {
        "overwrite": overwrite,
        "memory_bytes": options.bytes_of(memory),
        "reorder": reorder,
        "compact": compact,
    }
    started = time.perf_counter()
    corpus = None
    if encoder == PRECOMPUTED:
        of_texts = {
            "dense": dense is not None,
            "input_format": format is not None,
            "max_errors": max_errors is not None,
            "on_error": on_error != "fail",
        }
        of_texts |= dict.fromkeys(encoder_options.names, True)
        _require_none(name for name, is_given in of_texts.items() if is_given)
        made = _index_vectors(source, output, vocabulary, building)
    else:
        if vocabulary is not None:
            raise UsageError(
                "--vocabulary names the terms of precomputed vectors: use it with "
                "--encoder precomputed"
            )
        from lsr_index.build.index_corpus import index_corpus

        corpus = options.corpus_of(source, format, on_error, max_errors)
        encoding = encoder_options.encoder(encoder, beside=dense)
        building["dense"] = encoder_options.dense_encoder(dense)
        with resumable("indexing"), progress() as show:
            made = index_corpus(corpus, encoding, output, progress=show, **building)
    with made:
        _report(made, corpus, output, time.perf_counter() - started, json=json)


def _require_none(of_texts: Iterable[str]) -> None:
    """Raise UsageError for options that say how texts are read or encoded."""
    named = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(of_texts))
    if named:
        raise UsageError(
            f"{named}: says how texts are read or encoded, and precomputed vectors "
            "have none; leave it out"
        )


def _index_vectors(
    source: str, output: Path, vocabulary: Path | None, building: dict[str, Any]
) -> Index:
    from lsr.encoders.precomputed import read_vocabulary
    from lsr_index.build.index_corpus import index_vectors

    if not Path(source).is_file():
        raise UsageError(f"{source}: is no file; --encoder precomputed takes a file of vectors")
    terms = None if vocabulary is None else read_vocabulary(vocabulary)
    with resumable("indexing", resumes=False), progress() as show:
        return index_vectors(source, output, vocabulary=terms, progress=show, **building)


def _report(
    made: Index, corpus: Corpus | None, output: Path, seconds: float, *, json: bool
) -> None:
    stats = made.stats()
    if corpus is not None:
        report_skipped(corpus)
    report_clipped(stats.n_clipped)
    skipped = 0 if corpus is None else corpus.n_skipped
    figures = {"path": str(output), "seconds": seconds, "skipped": skipped, **stats._asdict()}
    vectors = "" if made.dense is None else f", {made.dense.n_vectors:,} dense vectors"
    what = f"{counted(made.n_docs, 'document')}, {counted(made.n_terms, 'term')}{vectors}"
    write_result(figures, f"{output}: {what}, in {seconds:.1f} s", json=json)
    if corpus is not None and not json:
        tell(f'search it with: {program()} search {quoted(output)} "your query"')
