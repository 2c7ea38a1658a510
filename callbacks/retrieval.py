"""How well the model's neighbours are of the same class, after every validation and test."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar
from torch import Tensor
from torch import distributed as dist
from torchmetrics.utilities.distributed import gather_all_tensors

from metrics import evaluate_clustering, evaluate_retrieval
from metrics.search import check_finite

_TINY = 5000
_log = logging.getLogger(__name__)


class Retrieved(NamedTuple):
    """What was evaluated, one row an image in the order of the data set, on the CPU."""

    embeddings: Float[Tensor, "n d"]
    labels: Int[Tensor, "n"]
    index: Int[Tensor, "n"]  # type: ignore[assignment]


class RetrievalEvaluation(Callback):
    """Every image of the validation and test loaders as a query among the others.

    Logs `val/recall@K` (the hit rate), `val/r_precision`, `val/map@r`, `val/queries` (how many
    count: classes with one image are gallery only) and, from k-means with as many clusters as
    classes, `val/nmi`, `val/ami` and `val/within_ss`; `test/...` likewise. With several loaders
    `val/<name>/...`, the name being the loader's key or its place. The same numbers are logged on
    every rank, so a checkpoint may monitor them. Exactness, ties and memory: `metrics.ExactSearch`.

    The module's validation and test steps return a mapping or named tuple with `embeddings`;
    batches have `labels` (class numbers) and `index`, by which rows are sorted and rows that a
    sampler repeated are dropped. Sanity validation evaluates nothing.

    `last` holds what the first loader gave last, on rank 0.

    Args:
        ks: Every K of Recall@K.
        clustering: Whether to cluster.
        cluster_every_n_epochs: In training, cluster at every so many epochs only; tests and
            validation on its own always do.
        restarts: Starts of k-means; more is slower and steadier.
        seed: Of the starts.
    """

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 4, 8),
        clustering: bool = True,
        cluster_every_n_epochs: int = 1,
        restarts: int = 1,
        seed: int = 0,
    ) -> None:
        if cluster_every_n_epochs < 1:
            raise ValueError(f"cluster_every_n_epochs is 1 or more, not {cluster_every_n_epochs}")
        self.ks = tuple(ks)
        self.clustering = clustering
        self.cluster_every_n_epochs = cluster_every_n_epochs
        self.restarts = restarts
        self.seed = seed
        self.last: Retrieved | None = None
        self._parts: dict[int, list[Retrieved]] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch collected."""
        self._parts = {}

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch collected."""
        self._parts = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the embeddings of a batch."""
        if not trainer.sanity_checking:
            _name_embedding(trainer, "val_progress_bar_id")
            self._parts.setdefault(dataloader_idx, []).append(_part(outputs, batch))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the embeddings of a batch."""
        _name_embedding(trainer, "test_progress_bar_id")
        self._parts.setdefault(dataloader_idx, []).append(_part(outputs, batch))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search, cluster and log."""
        if not trainer.sanity_checking:
            training = trainer.state.fn == "fit"
            due = (trainer.current_epoch + 1) % self.cluster_every_n_epochs == 0
            names = _loader_names("val", trainer.val_dataloaders)
            self._evaluate_loaders(trainer, pl_module, names, due or not training)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search, cluster and log."""
        names = _loader_names("test", trainer.test_dataloaders)
        self._evaluate_loaders(trainer, pl_module, names, True)

    def _evaluate_loaders(
        self, trainer: Trainer, pl_module: LightningModule, names: list[str], cluster: bool
    ) -> None:
        for place, name in enumerate(names):
            rows = in_index_order(gather_rows(self._parts.pop(place, []), pl_module.device))
            if len(rows.index) == 0:
                continue
            check_finite(rows.embeddings)
            scores = {}
            if trainer.is_global_zero:
                scores = self._evaluate(trainer, name, rows, cluster and self.clustering)
                if place == 0:
                    self.last = Retrieved(*(tensor.cpu() for tensor in rows))
            for key, value in trainer.strategy.broadcast(scores).items():
                shown = key in (f"recall@{min(self.ks)}", "map@r")
                pl_module.log(
                    f"{name}/{key}", value, prog_bar=shown, sync_dist=True, reduce_fx="max"
                )

    def _evaluate(
        self, trainer: Trainer, name: str, rows: Retrieved, cluster: bool
    ) -> dict[str, float]:
        embeddings, labels, _ = rows
        with _stage(trainer, f"{name}: search", len(rows.index), len(rows.index)) as advance:
            scores = evaluate_retrieval(embeddings, labels, self.ks, advance=advance)
        if cluster:
            with _stage(trainer, f"{name}: cluster", self.restarts, len(rows.index)) as advance:
                scores |= evaluate_clustering(
                    embeddings, labels, self.seed, self.restarts, advance=advance
                )
        return scores


def gather_rows(parts: Sequence[Retrieved], device: torch.device) -> Retrieved:
    """The rows of every rank, on every rank, rank after rank; some ranks may have none."""
    if parts:
        rows = Retrieved(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
    else:
        none = torch.zeros(0, dtype=torch.int64, device=device)
        rows = Retrieved(torch.zeros(0, 0, device=device), none, none)
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    ranks = [
        [part for part in gather_all_tensors(tensor.to(device).contiguous()) if len(part)]
        for tensor in rows
    ]
    return Retrieved(
        *(torch.cat(parts) if parts else own for parts, own in zip(ranks, rows, strict=True))
    )


def in_index_order(rows: Retrieved) -> Retrieved:
    """Sorted by index, each index once."""
    order = rows.index.argsort(stable=True)
    index = rows.index[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    order = order[first]
    return Retrieved(rows.embeddings[order], rows.labels[order], rows.index[order])


def _part(outputs: Any, batch: Any) -> Retrieved:
    embeddings = (
        outputs.get("embeddings")
        if isinstance(outputs, Mapping)
        else getattr(outputs, "embeddings", None)
    )
    if embeddings is None:
        raise ValueError(
            "validation and test steps must return a mapping or named tuple with `embeddings`, "
            f"not {type(outputs).__name__}"
        )
    if batch.labels.ndim != 1 or batch.labels.is_floating_point():
        raise ValueError(
            "RetrievalEvaluation needs one class number an image, "
            f"not labels of shape {tuple(batch.labels.shape)} and type {batch.labels.dtype}"
        )
    wide = torch.promote_types(embeddings.dtype, torch.float32)
    rows = (embeddings.detach().to(wide), batch.labels.long(), batch.index.long())
    return Retrieved(*(tensor if tensor.is_cuda else tensor.cpu() for tensor in rows))


def _loader_names(stage: str, loaders: Any) -> list[str]:
    if isinstance(loaders, Mapping):
        return [f"{stage}/{name}" for name in loaders]
    if isinstance(loaders, Sequence) and len(loaders) > 1:
        return [f"{stage}/{place}" for place in range(len(loaders))]
    return [stage]


def _name_embedding(trainer: Trainer, task: str) -> None:
    """Lightning's own bar is of the embedding: let it say so."""
    bar = trainer.progress_bar_callback
    if isinstance(bar, RichProgressBar) and bar.progress and getattr(bar, task) is not None:
        bar.progress.update(getattr(bar, task), description=task.split("_")[0] + ": embed")


@contextlib.contextmanager
def _stage(trainer: Trainer, name: str, steps: int, rows: int) -> Iterator[Callable[[int], object]]:
    """A bar beside the trainer's if that is Rich, else a line in the log; nothing if tiny."""
    bar = trainer.progress_bar_callback
    if rows < _TINY:
        yield lambda done: None
    elif isinstance(bar, RichProgressBar) and bar.progress is not None:
        progress = bar.progress
        task = progress.add_task(name, total=steps)
        try:
            yield lambda done: progress.update(task, advance=done)
        finally:
            progress.update(task, visible=False)
    else:
        _log.info("%s among %s embeddings", name, f"{rows:,}")
        yield lambda done: None
