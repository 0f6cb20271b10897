"""The command line: the commands of `lsr_service.cli.commands`, assembled.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C. An error is one line on standard
error, with ``LSR_DEBUG=1`` after its traceback.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import lsr
from lsr.errors import LsrError, MissingDependencyError, UsageError
from lsr_service.cli.command import Command, Group, UsageFault, settings_of
from lsr_service.cli.commands import (
    add,
    attach,
    bench,
    compact,
    delete,
    demo,
    encode,
    export_model,
    fit_fusion,
    fit_selection,
    index,
    mine,
    reindex,
    search,
    serve,
    snapshot,
    stats,
    train,
    verify,
)
from lsr_service.cli.commands import eval as evaluate
from lsr_service.cli.examples import examples_of
from lsr_service.cli.terminal import (
    InterruptedJobError,
    one_line,
    show_unknown_characters_as_question_marks,
    tell,
    write,
)

FAILURE, USAGE, INTERRUPTED = 1, 2, 130

USE, MAINTAIN, MEASURE, TRAIN = "Use", "Maintain", "Measure", "Train"

app = typer.Typer(
    name="lsr",
    help="Learned sparse retrieval: index text, search it, serve it, measure it.",
    epilog="Begin with: lsr demo",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    USE: (index.index, add.add, delete.delete, search.search, serve.serve, demo.demo),
    MAINTAIN: (
        stats.stats,
        verify.verify,
        compact.compact,
        snapshot.snapshot,
        snapshot.restore,
        reindex.reindex,
        attach.attach,
    ),
    MEASURE: (evaluate.evaluate, bench.bench, fit_fusion.fit_fusion, fit_selection.fit_selection),
    TRAIN: (train.train, mine.mine, encode.encode, export_model.export_model),
}


def _add_command(run: Callable[..., None], panel: str, *, hidden: bool = False) -> None:
    name = "eval" if run is evaluate.evaluate else run.__name__.replace("_", "-")
    register = app.command(
        name,
        cls=Command,
        epilog=examples_of(name),
        rich_help_panel=panel,
        hidden=hidden,
        context_settings=settings_of(name),
    )
    register(run)


for _panel, _commands in _COMMANDS.items():
    for _run in _commands:
        _add_command(_run, _panel)
_add_command(export_model.export, TRAIN, hidden=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        write(f"lsr {lsr.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Learned sparse retrieval: index text, search it, serve it, measure it."""


_KEYWORDS = ("dense", "encoder", "id_field", "max_errors", "overwrite", "text_field", "title_field")
"""Arguments that messages of the library name, and that are options here."""
_KEYWORD = re.compile(rf"(?<![\w:,.&?'\"-])({'|'.join(_KEYWORDS)})=(?:True|\"([\w-]+)\")?")


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    show_unknown_characters_as_question_marks()
    try:
        return _invoke(arguments)
    except InterruptedJobError as error:
        tell(f"\n{error}")
        return INTERRUPTED
    except KeyboardInterrupt:
        tell("\nstopped")
        return INTERRUPTED
    except BrokenPipeError:
        _close_quietly()
        return FAILURE
    except LsrError as error:
        _report(as_options(str(error)), error)
        is_usage = isinstance(error, UsageError) and not isinstance(error, MissingDependencyError)
        return USAGE if is_usage else FAILURE
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        _report(f"{where}{error.strerror or error}", error)
        return FAILURE
    except Exception as error:
        _report(f"unexpected {type(error).__name__}: {error} (LSR_DEBUG=1 shows where)", error)
        return FAILURE


def as_options(message: str) -> str:
    """Return a message of the library with keyword arguments as options.

    ``overwrite=True`` becomes ``--overwrite``, ``dense="minilm"`` becomes ``--dense minilm``.
    """

    def option(found: re.Match[str]) -> str:
        name, value = found[1].replace("_", "-"), found[2]
        return f"--{name}" if value is None else f"--{name} {value}"

    return _KEYWORD.sub(option, message)


def _invoke(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name="lsr", standalone_mode=False)
    except UsageFault as error:
        error.show()  # type: ignore[attr-defined]
        return USAGE
    except typer.Abort:
        raise KeyboardInterrupt from None
    sys.stdout.flush()
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _report(message: str, error: BaseException) -> None:
    if os.environ.get("LSR_DEBUG"):
        tell("".join(traceback.format_exception(error)).rstrip())
    tell(f"error: {one_line(message)}")


def _close_quietly() -> None:
    """Keep the interpreter from writing to the closed pipe once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
