"""How far a pass over many files has come."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ranklight.kernels.distributed import rank_and_world_size

_FEW = 2000
_SECONDS = 30.0


@contextlib.contextmanager
def file_progress(name: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal; elsewhere a line every half a minute, with the minutes that are left.

    Few files, and ranks other than the first, show nothing.

    Args:
        name: What is done to them.
        total: How many there are.
    """
    if total < _FEW or rank_and_world_size()[0]:
        yield lambda done: None
    elif sys.stderr.isatty():
        columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(name, total=total)
            yield lambda done: progress.advance(task, done)
    else:
        yield _Lines(name, total)


class _Lines:
    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self.done = 0
        self.started = self.said = monotonic()

    def __call__(self, done: int) -> None:
        self.done += done
        now = monotonic()
        if now - self.said < _SECONDS:
            return
        self.said = now
        left = (now - self.started) * (self.total - self.done) / self.done / 60
        counts = f"{self.done:,} of {self.total:,} files"
        print(f"{self.name}: {counts}, {left:.0f} minutes left", file=sys.stderr, flush=True)
