"""Every logged number, in one CSV file."""

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from ranklight.files.writing import naming, replacing


class MetricsFile(Logger):
    """Writes `metrics.csv` in a run's directory: a row for each time something is logged.

    A run that goes on appends. Rows are on disk as soon as they are logged, so a killed run loses
    none; a metric that appears later gets a column then.

    Args:
        run: The run's directory.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self.path = Path(run) / "metrics.csv"

    @property
    def name(self) -> str:
        """The experiment's directory."""
        return self.path.parent.parent.name

    @property
    def version(self) -> str:
        """The run's directory."""
        return self.path.parent.name

    @property
    def save_dir(self) -> str:
        """Where the file is."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Writes nothing: hyperparameters are in the run's config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row."""
        row = {"step": step, **metrics}
        columns = self._columns()
        unknown = [key for key in row if key not in columns]
        if unknown:
            self._rewrite([*columns, *unknown], self.rows())
            columns += unknown
        with naming(self.path), self.path.open("a", newline="") as file:
            csv.DictWriter(file, columns).writerow(row)

    def rows(self) -> list[dict[str, str]]:
        """All rows so far."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    @rank_zero_only
    def truncate(self, count: int) -> None:
        """Drop all rows but the first `count`: a run that goes on logs the others again."""
        rows = self.rows()
        if count < len(rows):
            self._rewrite(self._columns(), rows[:count])

    def _columns(self) -> list[str]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return next(csv.reader(file), [])

    def _rewrite(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        with replacing(self.path) as fresh, fresh.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
