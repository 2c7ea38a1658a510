"""What the trained encoder is worth, beside encoders that have learnt nothing."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from rich.table import Table
from torch import Tensor, nn

from ranklight.callbacks.evaluation.embedding_collector import EmbeddingCollector
from ranklight.callbacks.evaluation.embedding_evaluation import collected_sides, first_callback
from ranklight.callbacks.evaluation.retrieval import RetrievalEvaluation
from ranklight.models import Pixels
from ranklight.plain_console import plain_console

_THUMBNAIL = 32


class Baselines(Callback):
    """Prints test scores of the trained encoder beside raw pixels and its own untrained weights.

    Also writes them as `results.json` into the run's directory, and logs those that are shown
    beside the trained encoder's: `test/recall@1/raw_pixels`, `test/recall@1/untrained`. The
    untrained encoder is the module as it was built, before training or loading a checkpoint.

    Raw pixels of images above 32 × 32 are those of thumbnails of that size: k-means of the 150,528
    numbers of a 224-pixel image takes longer than training, and larger ones say no more.

    They are scored as the run's own `RetrievalEvaluation` scores; on several processes each embeds
    and searches its share.

    Args:
        columns: The metrics shown.
    """

    def __init__(self, columns: tuple[str, ...] = ("recall@1", "map@r", "nmi")) -> None:
        self.columns = columns
        self.untrained: nn.Module | None = None
        self._scores: dict[str, dict[str, float]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the encoder before it learns."""
        if self.untrained is None:
            self.untrained = copy.deepcopy(cast(nn.Module, pl_module.encoder))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the baselines, and log what is shown of them."""
        assert self.untrained is not None
        untrained = self.untrained.to(pl_module.device).eval()
        self._scores = {
            "raw pixels": _score(_thumbnail_pixels, trainer),
            "untrained": _score(untrained, trainer),
        }
        for name, scores in self._scores.items():
            for column in self.columns:
                if column in scores:
                    logged = _logged(column, name)
                    pl_module.log(logged, scores[column], sync_dist=True, reduce_fx="max")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the table."""
        ours = {_logged(column, name) for column in self.columns for name in self._scores}
        trained = {
            name.removeprefix("test/"): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("test/") and name not in ours
        }
        rows = {**self._scores, "trained": trained}
        if trainer.is_global_zero:
            self._show(rows, Path(trainer.default_root_dir))

    def _show(self, rows: dict[str, dict[str, float]], run: Path) -> None:
        table = Table("test", *self.columns)
        for name, scores in rows.items():
            table.add_row(name, *(_shown(scores, column) for column in self.columns))
        plain_console().print(table)
        path = run / "results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1) + "\n")
        rank_zero_info(f"table: {path}")


def _logged(column: str, baseline: str) -> str:
    return f"test/{column}/{baseline.replace(' ', '_')}"


def _shown(scores: dict[str, float], column: str) -> str:
    return f"{scores[column]:.3f}" if column in scores else "-"


def _thumbnail_pixels(images: Tensor) -> Tensor:
    size = [min(side, _THUMBNAIL) for side in images.shape[2:]]
    if list(images.shape[2:]) != size:
        images = F.interpolate(images.float(), size, mode="area")
    embeddings: Tensor = Pixels()(images)
    return embeddings


@torch.no_grad()
def _score(encoder: Callable[[Tensor], Tensor], trainer: Trainer) -> dict[str, float]:
    device = trainer.strategy.root_device
    loaders: Any = trainer.test_dataloaders
    collectors = {}
    for number, loader in enumerate(loaders if isinstance(loaders, list) else [loaders]):
        collectors[number] = collected = EmbeddingCollector()
        for batch in loader:
            collected.add({"embeddings": encoder(batch.images.to(device))}, batch)
    evaluation = first_callback(trainer, RetrievalEvaluation) or RetrievalEvaluation()
    sides = next(collected_sides(trainer, "test", collectors, device))
    return evaluation.score(trainer, "test", sides, keep=False) | evaluation.cluster(trainer, sides)
