"""What commands show: progress on standard error, results on standard output."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["print_json", "print_table", "progress_bars"]


class Bars:
    """Progress bars by name; a bar appears with its first report."""

    def __init__(self, progress):
        self._progress = progress
        self._bars: dict[str, Any] = {}

    def report(self, name: str, done: float | None, total: float | None, text: str = "") -> None:
        """Show how far a step is; without numbers, that it goes on."""
        if not self._bars:
            self._progress.start()
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=None, text="")
        known = {} if done is None else {"completed": done, "total": total}
        self._progress.update(self._bars[name], text=text, **known)

    def finish(self, name: str, text: str = "") -> None:
        """Show that a step is complete."""
        self.report(name, 1, 1, text)


@contextmanager
def progress_bars() -> Iterator[Bars]:
    """Show bars on standard error while the body runs; only lines if it is no terminal.

    Nothing is shown before the first report.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    progress = Progress(*columns, console=Console(stderr=True))
    try:
        yield Bars(progress)
    finally:
        if progress.live.is_started:
            progress.stop()


def print_json(value: Any) -> None:
    """Print a value for machines."""
    click.echo(json.dumps(value, indent=2))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> None:
    """Print a table; numbers to the right, and never cut, however narrow the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    rows = [[_text(cell) for cell in row] for row in rows]
    if title:
        click.echo(title)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(row[index][:1].isdigit() or row[index] in ("", "–") for row in rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(width=10_000)
    width = Measurement.get(console, console.options, table).maximum
    Console(width=max(width, Console().width)).print(table)


def _text(cell: Any) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
