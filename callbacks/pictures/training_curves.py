"""How training went, as curves."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from ranklight.callbacks.pictures import figures
from ranklight.running.metrics_file import MetricsFile


class TrainingCurves(Callback):
    """Draws every metric of `metrics.csv` against the step, one panel a metric, when fit ends.

    But for times, which are the machine's: a run that went on after a stop has the same curves.
    """

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what was logged."""
        files = [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]
        if not files or not trainer.is_global_zero:
            return
        rows = files[0].rows()
        curves = _curves(rows)
        if curves:
            figures.save(_draw(curves), "curves", trainer)


def _curves(rows: list[dict[str, str]]) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if value and name.startswith(("train/", "val/")) and name != "train/data_wait":
                curves.setdefault(name, []).append((int(row["step"]), float(value)))
    return {name: points for name, points in curves.items() if len(points) > 1}


def _draw(curves: dict[str, list[tuple[int, float]]]) -> Any:
    columns = min(4, len(curves))
    lines = -(-len(curves) // columns)
    figure = figures.new_figure(3.2 * columns, 2.4 * lines)
    for panel, (name, points) in enumerate(sorted(curves.items()), start=1):
        axes = figure.add_subplot(lines, columns, panel)
        axes.plot(*zip(*points, strict=True), linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    return figure
