"""A learning rate that rises for some steps and then falls as a cosine to the end of the run."""

import math
from typing import ClassVar

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class WarmUpCosine(LRScheduler):
    """A linear warm-up, then a cosine to the end of the run.

        lr_t = lr · (t + 1) / w for t < w, and then
        lr_t = lr · (f + (1 − f) · ½ (1 + cos(π (t − w) / (T − w)))).

    T is the length of the run, w its warm-up, f the share that is left at the end. Step it once a
    training step (`lr_interval: step`). The cosine is SGDR's without restarts (Loshchilov, Hutter,
    ICLR 2017, arXiv 1608.03983), the linear warm-up that of Goyal et al., arXiv 1706.02677, whose
    first step is not 0. Torch's `SequentialLR` of two schedules gives the same; this one needs no
    length in the configuration, and a rate that is changed when a run goes on reaches it.

    Args:
        optimizer: Whose learning rates these are; each group keeps its share.
        warm_up_steps: w; 0: start at the full rate.
        final: f, of 0..1.
        total_steps: T; None: the length of the run that begins. A run that goes on keeps it.
        last_epoch: Steps taken before; -1 is a fresh start.

    Raises:
        ValueError: A warm-up that is negative or as long as the run, or f outside of 0..1.
        RuntimeError: The length was left out, and nobody called `complete`.
    """

    past_end: ClassVar[tuple[str, str]] = ("total_steps", "the rate rises again after it")

    def __init__(
        self,
        optimizer: Optimizer,
        warm_up_steps: int = 0,
        final: float = 0.0,
        total_steps: int | None = None,
        last_epoch: int = -1,
    ) -> None:
        if warm_up_steps < 0:
            raise ValueError(f"warm_up_steps must be 0 or more, got {warm_up_steps}")
        if not 0 <= final <= 1:
            raise ValueError(f"final is the share of the rate at the end, 0..1; got {final}")
        self.warm_up_steps = warm_up_steps
        self.final = final
        self.total_steps: int | None = None
        if total_steps is not None:
            self.complete(total_steps)
        super().__init__(optimizer, last_epoch)

    def complete(self, total_steps: int) -> None:
        """Take the length of the run, now that it is known."""
        if self.warm_up_steps >= total_steps:
            raise ValueError(
                f"warm_up_steps must be fewer than the run's {total_steps:,} steps, got "
                f"{self.warm_up_steps:,}"
            )
        self.total_steps = total_steps

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each group at this step."""
        return [lr * self._share(self.last_epoch) for lr in self.base_lrs]

    def _share(self, step: int) -> float:
        if step < self.warm_up_steps:
            return (step + 1) / self.warm_up_steps
        if step == self.warm_up_steps:
            return 1.0
        if self.total_steps is None:
            raise RuntimeError("WarmUpCosine needs total_steps, or a call of complete()")
        passed = (step - self.warm_up_steps) / (self.total_steps - self.warm_up_steps)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * passed))
