"""A training run on the terminal: a bar for the stage, and a table of what the last step did."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lsr_service.cli.terminal import PLAIN_INTERVAL_S, ProgressLines, one_line, tell

if TYPE_CHECKING:
    from lsr_training.trainer import StepReport


class TrainingView(Protocol):
    """What a run reports to."""

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Show how far a stage is."""

    def step(self, report: StepReport) -> None:
        """Show what a step did."""


@contextmanager
def training_view() -> Iterator[TrainingView]:
    """Yield a view fit for standard error: redrawn on a terminal, lines in a log."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4) as live:
        yield _Redrawn(live)


def figures(report: StepReport) -> dict[str, str]:
    """Return what to show of a step, by name."""
    parts = {name: f"{value:.4f}" for name, value in report.parts.items()}
    return {
        "loss": f"{report.loss:.4f}",
        **parts,
        "nnz/query": f"{report.nnz_queries:.1f}",
        "nnz/document": f"{report.nnz_documents:.1f}",
        "postings/1000 documents": f"{1000 * report.flops:,.0f}",
        "learning rate": f"{report.learning_rate:.2e}",
        "gradient norm": f"{report.gradient_norm:.3f}",
        "s/step": f"{report.seconds:.2f}",
    }


class _Lines:
    def __init__(self) -> None:
        self._lines = ProgressLines()
        self._last = 0.0

    def progress(self, stage: str, done: int, total: int | None) -> None:
        self._lines(stage, done, total)

    def step(self, report: StepReport) -> None:
        now = time.monotonic()
        if now - self._last >= PLAIN_INTERVAL_S:
            self._last = now
            shown = ", ".join(f"{name} {value}" for name, value in figures(report).items())
            tell(f"step {report.step:,}: {shown}")


class _Redrawn:
    def __init__(self, live: Any) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        self._live = live
        self._bars = Progress(
            "{task.description}", BarColumn(bar_width=30), MofNCompleteColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}
        self._report: StepReport | None = None

    def progress(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(one_line(stage), total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)
        self._draw()

    def step(self, report: StepReport) -> None:
        self._report = report

    def _draw(self) -> None:
        from rich.console import Group
        from rich.table import Table

        if self._report is None:
            self._live.update(self._bars)
            return
        table = Table.grid(padding=(0, 2))
        for name, value in figures(self._report).items():
            table.add_row(name, value)
        self._live.update(Group(table, self._bars))
