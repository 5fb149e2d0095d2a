# SPDX-License-Identifier: GPL-3.0-or-later
"""One progress bar for every command that takes more than a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from backend.watch import Watch


@contextmanager
def progress_bar(title: str) -> Iterator[Watch]:
    """Yield a Watch that draws the progress to stderr, so that stdout stays clean."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=1.0)

        def report(fraction: float, sentence: str) -> None:
            progress.update(task, completed=fraction, description=sentence or title)

        yield Watch(report)
