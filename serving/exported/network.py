"""What leaves a run: one network from pictures to all that the model says of them."""

import copy
from typing import Any

from jaxtyping import Shaped
from torch import Tensor, nn

from ranklight.models import Pictures
from ranklight.serving.answers import Answers, answering_of

_OF_TRAINING = ("objective", "loss", "val_scores", "test_scores", "val_accuracy", "test_accuracy")
_DECIDES_IN_FLOAT32 = "decisions"


class ExportedNetwork(nn.Module):
    """Pictures in, named tensors out: a copy of a module that answers as the module does.

    Args:
        module: A module of `ranklight.lightning_modules`, which stays as it is.
        decision: The name of the fitted rule that decides on labels; None decides nothing.
        half: Keep weights in float16, half the size. Answers are float32, and rules decide in it.
    """

    def __init__(self, module: nn.Module, decision: str | None = None, half: bool = False) -> None:
        super().__init__()
        self.module = _without_training(module)
        self.decision = decision
        self._answering = answering_of(self.module)
        _take_as_fitted(self.module)
        if half:
            _in_half_precision(self.module)

    def forward(self, images: Pictures) -> dict[str, Shaped[Tensor, "n _"]]:
        """`embeddings`, and where there are: `scores`, `decided`."""
        answers: Answers = self._answering(images, self.decision)
        return {name: said for name, said in answers._asdict().items() if said is not None}


def _without_training(module: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation mode, without what only training and its scores need."""
    kept = copy.deepcopy(module).cpu().eval().requires_grad_(False)
    for name in _OF_TRAINING:
        if name in dict(kept.named_children()):
            setattr(kept, name, None)
    return kept


def _in_half_precision(module: nn.Module) -> None:
    """Float16 weights of all that does not decide; what was widened on the way is narrowed again.

    As GeM and the unit sphere widen, which in training is autocast's to undo.
    """
    for name, child in module.named_children():
        if name != _DECIDES_IN_FLOAT32:
            for part in child.half().modules():
                if next(part.parameters(recurse=False), None) is not None:
                    part.register_forward_pre_hook(_narrowed)


def _narrowed(part: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        each.half() if isinstance(each, Tensor) and each.is_floating_point() else each
        for each in given
    )


def _take_as_fitted(module: nn.Module) -> None:
    """Let rules not look at their buffer `fitted`: a graph cannot ask what a tensor holds."""
    for rule in getattr(module, _DECIDES_IN_FLOAT32, {}).values():
        fitted = bool(rule.fitted)
        del rule.fitted
        rule.fitted = fitted
