"""The command line: one file per verb in `lsr_service.cli.commands`, assembled here.

Exit codes: 0 done, 1 it failed, 2 the command line itself is wrong, 130 stopped by Ctrl-C. What
went wrong is one line on standard error; with ``LSR_DEBUG=1`` the traceback comes with it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from lsr.errors import LsrError, MissingDependencyError, UsageError
from lsr_service.cli.commands import (
    add,
    attach,
    bench,
    compact,
    delete,
    demo,
    encode,
    export,
    fit_fusion,
    fit_selection,
    index,
    mine,
    reindex,
    restore,
    search,
    serve,
    snapshot,
    stats,
    train,
    verify,
)
from lsr_service.cli.commands import eval as evaluate
from lsr_service.cli.terminal import InterruptedJobError, one_line, tell

FAILURE, USAGE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="lsr",
    help="Learned sparse retrieval: index text, search it, serve it, measure it.",
    epilog="Begin with: lsr demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("index")(index.index)
app.command("search")(search.search)
app.command("serve")(serve.serve)
app.command("add")(add.add)
app.command("delete")(delete.delete)
app.command("reindex")(reindex.reindex)
app.command("attach")(attach.attach)
app.command("compact")(compact.compact)
app.command("verify")(verify.verify)
app.command("snapshot")(snapshot.snapshot)
app.command("restore")(restore.restore)
app.command("eval")(evaluate.evaluate)
app.command("fit-fusion")(fit_fusion.fit_fusion)
app.command("fit-selection")(fit_selection.fit_selection)
app.command("encode")(encode.encode)
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.command("train")(train.train)
app.command("mine")(mine.mine)
app.command("stats")(stats.stats)
app.command("demo")(demo.demo)


@app.callback()
def _root() -> None:
    """Learned sparse retrieval: index text, search it, serve it, measure it."""


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
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
        _report(str(error), error)
        is_usage = isinstance(error, UsageError) and not isinstance(error, MissingDependencyError)
        return USAGE if is_usage else FAILURE
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        _report(f"{where}{error.strerror or error}", error)
        return FAILURE
    except Exception as error:
        _report(f"unexpected {type(error).__name__}: {error} (LSR_DEBUG=1 shows where)", error)
        return FAILURE


def _invoke(arguments: Sequence[str]) -> int:
    from typer._click.exceptions import ClickException

    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name="lsr", standalone_mode=False)
    except ClickException as error:
        error.show()
        return error.exit_code
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
