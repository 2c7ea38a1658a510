"""A learning rate that falls as 1 over time."""

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ranklight.kernels.checks import check_finite


class InverseTimeLR(LRScheduler):
    """lr_t = lr / (1 + decay · t), t counted from 0.

    Torch's first SGD, that of Lua, had it built in; recipes that descend from it still state it.

    Args:
        optimizer: Whose learning rates fall.
        decay: After 1 / decay steps the learning rate has halved.
        last_epoch: Steps taken before; -1 is a fresh start.

    Raises:
        ValueError: A negative decay.
    """

    def __init__(self, optimizer: Optimizer, decay: float, last_epoch: int = -1) -> None:
        check_finite(decay=decay)
        if decay < 0:
            raise ValueError(f"decay is {decay}; below 0 the learning rate would grow")
        self.decay = decay
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """The learning rate of each group at this step."""
        slowed = 1 + self.decay * self.last_epoch
        return [lr / slowed for lr in self.base_lrs]
