"""How similar images of the same class are, and images of different ones."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer

from ranklight.callbacks.evaluation.embedding_evaluation import Stage, first_callback
from ranklight.callbacks.evaluation.verification import Histograms, VerificationEvaluation
from ranklight.callbacks.pictures import figures
from ranklight.callbacks.pictures.picture import Picture


class VerificationHistograms(Picture):
    """Draws the similarities of pairs of the same class and of different ones, as two histograms.

    Shows what `VerificationEvaluation` among the callbacks counted last. Either histogram has the
    area 1, however many pairs there are; a line is the threshold fitted on validation.

    Args:
        every_n_epochs: In training, draw after every so many validated epochs; None: never.

    Raises:
        ValueError: No `VerificationEvaluation` is among the callbacks, or `every_n_epochs` is
            under 1.
    """

    name = "verification"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse to draw where no pairs are counted."""
        if first_callback(trainer, VerificationEvaluation) is None:
            raise ValueError(
                "VerificationHistograms needs VerificationEvaluation among the callbacks: add it, "
                "or drop the histograms"
            )

    def figure(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> Any:
        """The histograms of what was counted last."""
        evaluation = first_callback(trainer, VerificationEvaluation)
        assert evaluation is not None, "setup has looked"
        if evaluation.histograms is None or not trainer.is_global_zero:
            return None
        return _figure(evaluation.histograms)


def _figure(histograms: Histograms) -> Any:
    figure = figures.new_figure(6.0, 3.6)
    axes = figure.add_subplot()
    width = histograms.edges[1] - histograms.edges[0]
    for name, counts, colour in (
        ("different", histograms.different, figures.WRONG),
        ("same", histograms.same, figures.RIGHT),
    ):
        density = counts / (counts.sum() * width)
        label = f"{name}: {counts.sum():,.0f} pairs"
        axes.stairs(density, histograms.edges, fill=True, alpha=0.5, color=colour, label=label)
    if histograms.threshold is not None:
        label = f"threshold {histograms.threshold:.3f}"
        axes.axvline(histograms.threshold, color="black", linewidth=1, linestyle="--", label=label)
    axes.set(xlabel="similarity", ylabel="density")
    axes.legend(fontsize=8)
    return figure
