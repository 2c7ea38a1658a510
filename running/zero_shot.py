"""Scores of a network as it was published."""

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn

from ranklight.models import GeM

_OF_TRAINING = "objective."


class ZeroShot(Callback):
    """Refuses to score what was drawn at random as if it were a network without training.

    What makes embeddings must be a trunk with pretrained weights, and around it nothing that
    learns: no projection, no head, no attention pooling. GeM counts as it begins, with the exponent
    that it was given. `Provenance` keeps that a stage was zero-shot.
    """

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look before the first batch."""
        check_needs_no_training(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look before the first batch."""
        check_needs_no_training(pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look before the first batch."""
        check_needs_no_training(pl_module)


def check_needs_no_training(module: nn.Module) -> None:
    """Refuse a module whose embeddings depend on weights that only training would give.

    Raises:
        ValueError: There are some; names the first three, and what to do.
    """
    known = [
        name
        for name, part in module.named_modules()
        if getattr(part, "pretrained", False) or isinstance(part, GeM)
    ]
    drawn: list[str] = [
        name
        for name, _ in module.named_parameters()
        if not name.startswith((_OF_TRAINING, *(f"{part}." for part in known)))
    ]
    if drawn:
        more = f" and {len(drawn) - 3} more" if len(drawn) > 3 else ""
        raise ValueError(
            f"zero_shot scores a network as it was published, and {', '.join(drawn[:3])}{more} "
            "would be drawn at random: give the trunk weights (DEFAULT, or a file), and leave out "
            "what needs training (embedding_dim null, no hidden layers, no head, a pooling such as "
            "models.AveragePool)"
        )


def is_zero_shot(trainer: Trainer) -> bool:
    """Whether this trainer scores a network as it was published."""
    callbacks: list[Any] = getattr(trainer, "callbacks", [])
    return any(isinstance(callback, ZeroShot) for callback in callbacks)
