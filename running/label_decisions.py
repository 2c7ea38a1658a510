"""Fits a model's decision rules to a ranking that is learnt, and stores them in its checkpoint."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn

from ranklight.datamodules import Batch, evaluation_loader
from ranklight.kernels.distributed import rank_and_world_size
from ranklight.models import DecisionRule, Examples
from ranklight.search import shard


def decide(
    module: LightningModule, datamodule: LightningDataModule, checkpoint: Path, seed: int = 0
) -> None:
    """Fit a module's decision rules for the ranking in a checkpoint, and store them there.

    The module takes the checkpoint's weights. Training images are seen as in evaluation, neither
    shuffled nor augmented: through the data module's `train_evaluation_dataloader` if it has one,
    else through its `train`. The file is replaced in one step; a crash leaves the old one. All
    ranks call this together.

    Args:
        module: A `lightning_modules.MultiLabelClassification`, on the device to use.
        datamodule: Set up for fit.
        checkpoint: File to read and to replace.
        seed: Of the heads' training.

    Raises:
        ValueError: The checkpoint is of another architecture, or a rule does not fit the data.
    """
    start = time.monotonic()
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    module.on_load_checkpoint(content)
    module.load_state_dict(content["state_dict"])
    data: Any = datamodule
    train = (
        data.train_evaluation_dataloader()
        if hasattr(data, "train_evaluation_dataloader")
        else evaluation_loader(
            data.train,
            getattr(data, "eval_batch_size", 256),
            getattr(data, "num_workers", 0),
            getattr(data, "pin_memory", False),
        )
    )
    cached = cache_features(module, train), cache_features(module, data.val_dataloader())
    extracted = time.monotonic()
    fit_decisions(module, *cached, seed=seed)
    _store(module, content, checkpoint)
    rank_zero_info(
        f"label decision: {len(rules_of(module))} rules fitted in "
        f"{time.monotonic() - extracted:.1f} s on features cached in {extracted - start:.1f} s, "
        f"stored in {checkpoint}"
    )


@torch.no_grad()
def cache_features(module: LightningModule, loader: Iterable[Batch]) -> Examples:
    """What rules learn from: all images of a loader, of all ranks, as in evaluation.

    One row an image, on the CPU, in the order of the index.
    """
    model: Any = module
    training = module.training
    module.eval()
    none = torch.zeros(0, model.num_classes)
    features = torch.zeros(0, model.encoder.embedding_dim)
    parts: list[tuple[Tensor, ...]] = [(none, features, none, none[:, 0].long())]
    for batch in loader:
        scored = model.scores_and_features(batch.images.to(module.device))
        parts.append((*(part.cpu() for part in scored), batch.labels, batch.index))
    module.train(training)
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    *rows, index = (column.to(module.device) for column in columns)
    order, shards = shard(index)
    return Examples(*(shards.all_gather(row[order]).cpu() for row in rows))


def fit_decisions(module: LightningModule, train: Examples, val: Examples, seed: int = 0) -> None:
    """Fit each of a module's decision rules on the split that it asks for, on the CPU.

    On several processes, all take what the first one has fitted.

    Raises:
        ValueError: A rule does not fit the data; says which.
    """
    rules: dict[str, Any] = dict(rules_of(module))
    for name, rule in rules.items():
        rule.cpu()
        try:
            rule.fit(train if rule.fit_on == "train" else val, seed)
        except ValueError as error:
            raise ValueError(f"decision rule {name}: {error}") from error
        rule.to(module.device)
        if rank_and_world_size()[1] > 1:
            for tensor in rule.state_dict().values():
                dist.broadcast(tensor, src=0)


def rules_of(module: LightningModule) -> dict[str, DecisionRule]:
    """A module's decision rules by name."""
    return dict(cast(nn.ModuleDict, module.decisions).items())  # type: ignore[arg-type]


def _store(module: LightningModule, content: dict[str, Any], checkpoint: Path) -> None:
    if rank_and_world_size()[0] == 0:
        own = module.state_dict()
        rules = {key: value.cpu() for key, value in own.items() if key.startswith("decisions.")}
        content["state_dict"] |= rules
        fresh = checkpoint.with_suffix(".ckpt.part")
        torch.save(content, fresh)
        fresh.replace(checkpoint)
    if rank_and_world_size()[1] > 1:
        dist.barrier()
