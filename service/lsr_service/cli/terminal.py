"""Standard output for results, standard error for everything else."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsr.errors import LsrError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from lsr.corpus import Corpus

PLAIN_INTERVAL_S = 10.0
"""Between two lines of progress where there is no terminal to redraw."""

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class InterruptedJobError(LsrError):
    """The user stopped a job; the message says how to continue it."""


def safe(text: str) -> str:
    """Return text of a document fit for a terminal: without what moves the cursor or hides text."""
    return _UNSAFE.sub(" ", text)


def one_line(text: str) -> str:
    """Return text on one line, fit for a terminal."""
    return " ".join(safe(text).split())


def require_text(what: str, argument: str | None) -> None:
    """Raise UsageError for an argument that is not UTF-8; Python has its bytes as surrogates."""
    try:
        os.fsencode(argument or "").decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the {what} is not UTF-8 (byte 0x{error.object[error.start]:02x} at byte "
            f"{error.start + 1}); convert it, or set the terminal to UTF-8"
        ) from None


def show_unknown_characters_as_question_marks() -> None:
    """Replace characters that the encoding of the terminal lacks, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="replace")


def write(text: str) -> None:
    """Write a line to standard output."""
    sys.stdout.write(text + "\n")


def write_json(value: Any) -> None:
    """Write a value as JSON to standard output."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    sys.stdout.write(orjson.dumps(value, default=str, option=options).decode() + "\n")


def write_result(figures: Any, text: str, *, json: bool) -> None:
    """Write the result of a command to standard output: its figures as JSON, or a text."""
    if json:
        write_json(figures)
    else:
        write(text)


def console(width: int | None = None) -> Console:
    """Return rich's standard output; `width` is that of tables where it is no terminal."""
    from rich.console import Console

    made = Console(highlight=False)
    return made if width is None or made.is_terminal else Console(highlight=False, width=width)


def show(*renderables: Any) -> None:
    """Write texts and tables of rich to standard output; no lines are wrapped in a file or pipe."""
    output = console()
    for each in renderables:
        output.print(each, soft_wrap=not output.is_terminal)


def tell(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def program() -> str:
    """Return the program as it was called, so that a line to copy works in the same shell."""
    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return f"{quoted(sys.executable)} -m lsr"
    on_path = shutil.which(Path(called).name)
    if on_path is not None and Path(on_path).resolve() == Path(called).resolve():
        return Path(called).name
    return quoted(called)


def quoted(argument: str | Path) -> str:
    """Return an argument as a shell takes it, relative to the current folder where it is below."""
    path = Path(argument)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, as in ``1 document`` and ``2,000 documents``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def report_skipped(corpus: Corpus) -> None:
    """Write how many lines or files of a corpus were skipped, and why the first of them."""
    if corpus.n_skipped:
        parts = counted(corpus.n_skipped, corpus.part)
        tell(f"skipped {parts}, the first because of: {one_line(str(corpus.skipped[0]))}")


def report_clipped(n_clipped: int) -> None:
    """Write how many weights were too large to be stored as they are."""
    if n_clipped:
        tell(
            f"{n_clipped:,} outliers among the weights are stored as smaller ones, so that the "
            "others keep their precision; `lsr stats` counts them"
        )


@contextmanager
def resumable(what: str, *, resumes: bool = True) -> Iterator[None]:
    """Raise InterruptedJobError on Ctrl-C.

    `what` names the job, as in "indexing stopped"; `resumes` says whether the same command goes on
    where it was stopped.
    """
    try:
        yield
    except KeyboardInterrupt:
        how = "and it goes on from here" if resumes else "to start over"
        raise InterruptedJobError(f"{what} stopped; run the same command again {how}") from None


class ProgressLines:
    """Progress as lines, for logs: when a stage starts and ends, and every ten seconds."""

    def __init__(self) -> None:
        self._stage = ""
        self._started = self._last = 0.0
        self._first_done = 0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Record what is done, and write a line when it is due."""
        if total is not None and total < done:
            total = None  # it was an estimate
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started, self._last = stage, now, now
            self._first_done = done
            tell(f"{stage} …")
        elif done == total or now - self._last >= PLAIN_INTERVAL_S:
            self._last = now
            tell(self._line(done, total, now - self._started))

    def _line(self, done: int, total: int | None, seconds: float) -> str:
        rate = (done - self._first_done) / seconds if seconds > 0 else 0.0
        line = f"{self._stage}: {done:,}" + ("" if total is None else f" of {total:,}")
        if rate > 0:
            line += f", {rate:,.0f}/s"
        if rate > 0 and total is not None and total > done:
            line += f", {_duration((total - done) / rate)} left"
        return line


class ProgressBars:
    """Progress as bars of rich, one for each stage; `bars` is what rich draws."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        bar, rate = BarColumn(bar_width=30), "{task.fields[rate]}"
        columns = ("{task.description}", bar, MofNCompleteColumn(), rate, TimeRemainingColumn())
        self.bars = Progress(*columns, console=console, speed_estimate_period=10.0)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show how much of a stage is done."""
        if stage not in self._tasks:
            self._tasks[stage] = self.bars.add_task(
                one_line(stage), total=total, completed=done, rate=""
            )
        task = self.bars.tasks[self.bars.task_ids.index(self._tasks[stage])]
        speed = task.finished_speed or task.speed or 0
        rate = f"{speed:,.0f}/s" if speed >= 0.5 else ""
        if total is not None:
            total = max(total, done)  # it may be an estimate
        self.bars.update(task.id, completed=done, total=total, rate=rate)


@contextmanager
def progress() -> Iterator[ProgressLines | ProgressBars]:
    """Yield a callable ``(stage, done, total)`` that shows progress on standard error."""
    if not sys.stderr.isatty():
        yield ProgressLines()
        return
    from rich.console import Console

    shown = ProgressBars(Console(stderr=True))
    with shown.bars:
        yield shown


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
