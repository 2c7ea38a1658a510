"""Label decision: fitted when the ranking is learnt, tested rule by rule."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from jaxtyping import Float
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_info
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ranklight.datamodules import Batch, evaluation_loader
from ranklight.kernels.distributed import rank_and_world_size
from ranklight.metrics import LabelSetScores
from ranklight.models import DecisionRule, top_labels
from ranklight.search import shard

_COLUMNS = {
    "c_precision": "C-P",
    "c_recall": "C-R",
    "c_f1": "C-F1",
    "o_precision": "O-P",
    "o_recall": "O-R",
    "o_f1": "O-F1",
    "mean_class_f1": "mean F1",
    "exact_match": "exact",
}


class Cached(NamedTuple):
    """What decision rules learn from: one row an image, on the CPU, in the order of the index."""

    scores: Float[Tensor, "n c"]
    features: Float[Tensor, "n d"]
    targets: Float[Tensor, "n c"]


class LabelDecision(Callback):
    """Fits the module's decision rules after training, and compares them in tests.

    When fit ends, the module takes the weights of the best checkpoint (the first `ModelCheckpoint`
    that monitors something), its rules are fitted by `decide` and stored in that checkpoint, and
    the module keeps both. Nothing that the ranking has learnt changes.

    A test scores every rule, and as `oracle` the labels that score highest, as many as there truly
    are: no rule that takes labels from the top can have a better exact match. Of partly known
    labels, the oracle sees the known ones. The scores are logged as `test/<rule>/exact_match` and
    so on (`metrics.score_label_sets` says how they are named), printed as a table, and written with
    the ranking scores to `results.json` and `decisions.md` of the run.

    Args:
        seed: Of the heads' training.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._scores: dict[str, LabelSetScores] = {}
        self._results: dict[str, dict[str, float]] = {}

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fit the rules on the best weights."""
        best = next(
            (
                callback.best_model_path
                for callback in trainer.checkpoint_callbacks
                if isinstance(callback, ModelCheckpoint) and callback.monitor
            ),
            "",
        )
        if not best or not len(_rules(pl_module)):
            rank_zero_info("label decision: there is no best checkpoint, or no rule to fit")
            return
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        pl_module.to(trainer.strategy.root_device)
        with trainer.precision_plugin.forward_context():
            decide(pl_module, datamodule, Path(best), self.seed)
        pl_module.cpu()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One set of counts a rule."""
        classes = cast(int, pl_module.num_classes)
        names = [*_rules(pl_module), "oracle"]
        self._scores = {name: LabelSetScores(classes).to(pl_module.device) for name in names}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count what the rules said of a batch."""
        for name, scores in self._scores.items():
            decided = (
                _oracle(outputs["scores"], batch.labels)
                if name == "oracle"
                else outputs[f"decision/{name}"]
            )
            scores.update(decided, batch.labels)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log every score of every rule."""
        self._results = {}
        for rule, scores in self._scores.items():
            computed = scores.compute()
            self._results[rule] = {name: score.item() for name, score in computed.items()}
            logged = {f"test/{rule}/{name}": score.float() for name, score in computed.items()}
            # Every rank has the same numbers; their maximum is exact, their mean might not be.
            pl_module.log_dict(logged, sync_dist=True, reduce_fx="max")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the table, write the files."""
        if not trainer.is_global_zero:
            return
        ranking = {
            name.removeprefix("test/"): float(score)
            for name, score in trainer.callback_metrics.items()
            if name.startswith("test/") and name.split("/")[1] not in self._results
        }
        _show(self._results)
        run = Path(trainer.default_root_dir)
        run.mkdir(parents=True, exist_ok=True)
        results = {"ranking": ranking, **self._results}
        (run / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (run / "decisions.md").write_text(_markdown(self._results))
        rank_zero_info(f"tables: {run / 'results.json'}, {run / 'decisions.md'}")


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
        f"label decision: {len(_rules(module))} rules fitted in {time.monotonic() - extracted:.1f} "
        f"s on features cached in {extracted - start:.1f} s, stored in {checkpoint}"
    )


@torch.no_grad()
def cache_features(module: LightningModule, loader: Iterable[Batch]) -> Cached:
    """Scores, features and labels of all images of a loader, of all ranks, in evaluation mode."""
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
    kept, shards = shard(index)
    return Cached(*(shards.whole(row[kept]).cpu() for row in rows))


def fit_decisions(module: LightningModule, train: Cached, val: Cached, seed: int = 0) -> None:
    """Fit each of a module's decision rules on the split that it asks for, on the CPU.

    On several processes, all take what the first one has fitted.

    Raises:
        ValueError: A rule does not fit the data; says which.
    """
    rules: dict[str, Any] = dict(_rules(module))
    for name, rule in rules.items():
        rule.cpu()
        try:
            rule.fit(*(train if rule.fit_on == "train" else val), seed=seed)
        except ValueError as error:
            raise ValueError(f"decision rule {name}: {error}") from error
        rule.to(module.device)
        if rank_and_world_size()[1] > 1:
            for tensor in rule.state_dict().values():
                dist.broadcast(tensor, src=0)


def _rules(module: LightningModule) -> dict[str, DecisionRule]:
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


def _oracle(scores: Tensor, labels: Tensor) -> Tensor:
    known = torch.where(labels >= 0, scores, -torch.inf)
    return top_labels(known, (labels > 0).sum(1))


def _show(results: dict[str, dict[str, float]]) -> None:
    table = Table("decision", *_COLUMNS.values(), box=None, padding=(0, 2, 0, 0))
    for rule, scores in results.items():
        table.add_row(rule, *(f"{scores[name]:.3f}" for name in _COLUMNS))
    Console().print(table)


def _markdown(results: dict[str, dict[str, float]]) -> str:
    head = ["decision", *_COLUMNS.values()]
    rows = [
        [rule, *(f"{scores[name]:.3f}" for name in _COLUMNS)] for rule, scores in results.items()
    ]
    lines = [head, ["---", *["---:"] * len(_COLUMNS)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
