"""Scores what the label decision says, rule by rule, and has it fitted when training ends."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_info
from rich.table import Table
from torch import Tensor

from ranklight.callbacks.evaluation.scores_file import (
    dataset_of,
    loaders_of,
    save_query_scores,
)
from ranklight.datamodules import Batch
from ranklight.files.markdown import table_lines
from ranklight.metrics import LabelSetScores
from ranklight.metrics.multi_label import RANKING_SCORES
from ranklight.models import top_labels
from ranklight.plain_console import plain_console
from ranklight.running.label_decisions import decide, rules_of
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
_OF_IMAGES = {name: score for name, score in RANKING_SCORES.items() if name != "map_macro"}


class LabelDecision(Callback):
    """Fits the module's decision rules after training, and compares them in tests.

    When fit ends, the module takes the weights of the best checkpoint (the first `ModelCheckpoint`
    that monitors something), its rules are fitted by `decide` and stored in that checkpoint, and
    the module keeps both. Nothing that the ranking has learnt changes.

    A test scores every rule, and as `oracle` the labels that score highest, as many as there truly
    are: no rule that takes labels from the top can have a better exact match. Of partly known
    labels, the oracle sees the known ones. The scores are logged as `test/<rule>/exact_match` and
    so on (`metrics.evaluate_label_sets` says how they are named), printed as a table, and written
    with the ranking scores to `results.json` and `decisions.md` of the run.

    Args:
        seed: Of the heads' training.
        scores: Whether to keep the ranking scores of every image of validation and test, and
            whether each rule is exactly right, as `scores/<stage>.parquet` of the run; each pass
            replaces the file.
    """

    def __init__(self, seed: int = 0, scores: bool = True) -> None:
        self.seed = seed
        self.keep_scores = scores
        self._images: list[dict[str, Tensor]] = []
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
        if not best or not len(rules_of(pl_module)):
            rank_zero_info("label decision: there is no best checkpoint, or no rule to fit")
            return
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        pl_module.to(trainer.strategy.root_device)
        with trainer.precision_plugin.forward_context():
            decide(pl_module, datamodule, Path(best), self.seed)
        pl_module.cpu()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch scored."""
        self._images = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Score each image of a batch."""
        if self.keep_scores and not trainer.sanity_checking:
            self._images.append(_ranking_scores(outputs["scores"], batch))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the scores of every image."""
        self._save(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what an interrupted epoch scored."""
        self._images = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One set of counts a rule.

        Raises:
            ValueError: A rule was not fitted.
        """
        unfitted = [
            name for name, rule in rules_of(pl_module).items() if not cast(Any, rule).fitted
        ]
        if unfitted:
            raise ValueError(
                f"the decision rules {', '.join(unfitted)} were not fitted: fit does it at its end "
                "if it has validated and so has a best checkpoint; `ranklight decide` does it, too"
            )
        classes = cast(int, pl_module.num_classes)
        names = [*rules_of(pl_module), "oracle"]
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
        images = _ranking_scores(outputs["scores"], batch) if self.keep_scores else {}
        for name, scores in self._scores.items():
            decided = (
                _oracle(outputs["scores"], batch.labels)
                if name == "oracle"
                else outputs[f"decision/{name}"]
            )
            scores.update(decided, batch.labels, batch.index)
            images[f"{name}/exact_match"] = _exact(decided, batch.labels)
        if self.keep_scores:
            self._images.append(images)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log every score of every rule, and keep those of every image."""
        names = [f"{rule}/exact_match" for rule in self._scores]
        self._save(trainer, pl_module, "test", names)
        self._results = {}
        for rule, scores in self._scores.items():
            computed = scores.compute()
            self._results[rule] = {name: score.item() for name, score in computed.items()}
            logged = {f"test/{rule}/{name}": score.float() for name, score in computed.items()}
            # Every rank has the same numbers; their maximum is exact, their mean might not be.
            pl_module.log_dict(logged, sync_dist=True, reduce_fx="max")

    def _save(
        self, trainer: Trainer, pl_module: LightningModule, stage: str, rules: Sequence[str] = ()
    ) -> None:
        """Write the scores of every image, each once; collective."""
        if not self.keep_scores or trainer.sanity_checking:
            return
        device = pl_module.device
        none = torch.empty(0, dtype=torch.float64, device=device)
        parts = [{"id": none.long()} | dict.fromkeys([*_OF_IMAGES, *rules], none), *self._images]
        rows = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        order, shards = shard(rows["id"])
        columns = {name: values[order] for name, values in rows.items()}
        dataset = dataset_of(loaders_of(trainer, stage), 0)
        save_query_scores(trainer, stage, shards, columns, dataset)
        self._images = []

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


def _ranking_scores(scores: Tensor, batch: Batch) -> dict[str, Tensor]:
    of_each = {name: score(scores, batch.labels) for name, score in _OF_IMAGES.items()}
    return {"id": batch.index.to(scores.device).long(), **of_each}


def _exact(decided: Tensor, labels: Tensor) -> Tensor:
    """1 for each image whose known labels are all right."""
    return ((decided == (labels > 0)) | (labels < 0)).all(1).double()


def _oracle(scores: Tensor, labels: Tensor) -> Tensor:
    known = torch.where(labels >= 0, scores, -torch.inf)
    return top_labels(known, (labels > 0).sum(1))


def _show(results: dict[str, dict[str, float]]) -> None:
    table = Table("decision", *_COLUMNS.values(), box=None, padding=(0, 2, 0, 0))
    for rule, scores in results.items():
        table.add_row(rule, *(f"{scores[name]:.3f}" for name in _COLUMNS))
    plain_console().print(table)


def _markdown(results: dict[str, dict[str, float]]) -> str:
    rows = (
        [rule, *(f"{scores[name]:.3f}" for name in _COLUMNS)] for rule, scores in results.items()
    )
    return "".join(f"{line}\n" for line in table_lines(["decision", *_COLUMNS.values()], rows))
