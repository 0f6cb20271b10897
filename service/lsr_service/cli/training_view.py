"""A training run on the terminal: a bar for each stage, and a table of the last step."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lsr_service.cli.terminal import PLAIN_INTERVAL_S, ProgressBars, ProgressLines, tell

if TYPE_CHECKING:
    from lsr_training.trainer import StepReport


@contextmanager
def training_view() -> Iterator[_Lines | _Redrawn]:
    """Yield a view on standard error: redrawn on a terminal, lines in a log."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4) as live:
        yield _Redrawn(live)


def _figures(report: StepReport) -> dict[str, str]:
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
        self.progress = ProgressLines()
        self._last = 0.0

    def step(self, report: StepReport) -> None:
        now = time.monotonic()
        if now - self._last >= PLAIN_INTERVAL_S:
            self._last = now
            shown = ", ".join(f"{name} {value}" for name, value in _figures(report).items())
            tell(f"step {report.step:,}: {shown}")


class _Redrawn:
    def __init__(self, live: Any) -> None:
        self._live = live
        self._shown = ProgressBars()
        self._report: StepReport | None = None

    def step(self, report: StepReport) -> None:
        self._report = report

    def progress(self, stage: str, done: int, total: int | None) -> None:
        from rich.console import Group
        from rich.table import Table

        self._shown(stage, done, total)
        if self._report is None:
            self._live.update(self._shown.bars)
            return
        table = Table.grid(padding=(0, 2))
        for name, value in _figures(self._report).items():
            table.add_row(name, value)
        self._live.update(Group(table, self._shown.bars))
