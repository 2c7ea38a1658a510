"""Parts that rest for the first epochs."""

from collections.abc import Mapping

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ranklight.lightning_modules.rates import Rate, learning, part_of


class FrozenEpochs(Callback):
    """Lets parts rest as long as their rates say; a module that has rates brings it along.

    Parameters that rest have no gradient, so the optimizer, which holds them from the start, leaves
    them and its own state of them alone; batch norms that rest normalise by the statistics that
    they have. What rests follows from the epoch, so a run that goes on has nothing to remember.

    Args:
        rates: By part.

    Raises:
        ValueError: A strategy that shards parameters, which could not change what learns.
    """

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        self.rates = rates
        self._parameters: list[nn.Parameter] = []
        self._norms: list[nn.Module] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse what cannot be done."""
        self._parameters, self._norms = [], []
        strategy = trainer.strategy
        if not isinstance(strategy, DDPStrategy | SingleDeviceStrategy) and any(
            rate.frozen_epochs for rate in self.rates.values()
        ):
            raise ValueError(
                f"frozen_epochs work on one device and with the strategy ddp, not with "
                f"{type(strategy).__name__}"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that goes on within an epoch skips that epoch's start."""
        self._rest(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What rests in this epoch."""
        self._rest(trainer, pl_module)

    def _rest(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = {id(parameter) for parameter in self._parameters}
        self._wake()
        epoch = trainer.current_epoch
        resting = {name for name, rate in self.rates.items() if epoch < rate.frozen_epochs}
        self._parameters = [
            parameter
            for name, parameter in learning(pl_module)
            if part_of(name, self.rates) in resting
        ]
        self._norms = [
            norm
            for name, norm in pl_module.named_modules()
            if isinstance(norm, _BatchNorm) and norm.training
            if part_of(name, self.rates) in resting
        ]
        for parameter in self._parameters:
            parameter.requires_grad_(False)
        for norm in self._norms:
            norm.eval()
        if before != {id(parameter) for parameter in self._parameters}:
            _reduce_what_learns(trainer, pl_module)

    def _wake(self) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(True)
        for norm in self._norms:
            norm.train()


def _reduce_what_learns(trainer: Trainer, pl_module: LightningModule) -> None:
    """DistributedDataParallel averages the gradients of what learnt when it was built."""
    if isinstance(trainer.strategy, DDPStrategy):
        trainer.strategy.model = pl_module
        trainer.strategy.configure_ddp()
