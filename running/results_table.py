"""The scores of a test, or of a validation on its own, as a table."""

from collections.abc import Mapping

from pytorch_lightning import Callback, LightningModule, Trainer
from rich.table import Table

from ranklight.plain_console import plain_console


class ResultsTable(Callback):
    """Prints a line a score; what stands behind it, `<score>/oracle` say, is beside it.

    In place of Lightning's table, which has a column for each loader, though a score of queries in
    a gallery is of two.
    """

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the test's."""
        self._show(trainer, "test")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print those of a validation that is not part of training."""
        if trainer.state.fn == "validate":
            self._show(trainer, "val")

    def _show(self, trainer: Trainer, stage: str) -> None:
        own = f"{stage}/"
        scores = {
            name.removeprefix(own): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith(own)
        }
        if scores and trainer.is_global_zero:
            plain_console().print(results_table(stage, scores))


def results_table(title: str, scores: Mapping[str, float]) -> Table:
    """Scores by name as a table.

    >>> table = results_table("test", {"map": 0.5, "map/trapezoid": 0.4, "queries": 12})
    >>> [column.header for column in table.columns], table.row_count
    (['test', '', 'trapezoid'], 2)
    """
    beside: dict[str, dict[str, float]] = {}
    for name, value in scores.items():
        score, _, column = name.rpartition("/")
        if score in scores:
            beside.setdefault(score, {})[column] = value
        else:
            beside.setdefault(name, {})[""] = value
    for name in beside:
        beside[name].setdefault("", scores[name])
    columns = dict.fromkeys(["", *(column for of in beside.values() for column in of)])
    table = Table(title, *columns)
    for name, of in beside.items():
        table.add_row(name, *(_shown(of.get(column)) for column in columns))
    return table


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"
