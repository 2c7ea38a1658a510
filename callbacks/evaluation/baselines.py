"""What the trained encoder is worth, beside encoders that have learnt nothing."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ranklight.callbacks.evaluation.embedding_collector import EmbeddingCollector
from ranklight.metrics import evaluate_clustering, evaluate_retrieval
from ranklight.models import Pixels

_THUMBNAIL = 32


class Baselines(Callback):
    """Prints test scores of the trained encoder beside raw pixels and its own untrained weights.

    Also writes them as `results.json` into the run's directory. The untrained encoder is the module
    as it was built, before training or loading a checkpoint.

    Raw pixels of images above 32 × 32 are those of thumbnails of that size: k-means of the 150,528
    numbers of a 224-pixel image takes longer than training, and larger ones say no more.

    On several processes each embeds and searches its share, as `RetrievalEvaluation` does.

    Args:
        columns: The metrics shown.
    """

    def __init__(self, columns: tuple[str, ...] = ("recall@1", "map@r", "nmi")) -> None:
        self.columns = columns
        self.untrained: nn.Module | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copy the encoder before it learns."""
        if self.untrained is None:
            self.untrained = copy.deepcopy(cast(nn.Module, pl_module.encoder))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score the baselines, print the table."""
        trained = {
            name.removeprefix("test/"): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("test/")
        }
        assert self.untrained is not None
        untrained = self.untrained.to(pl_module.device).eval()
        rows = {
            "raw pixels": _score(_thumbnail_pixels, trainer),
            "untrained": _score(untrained, trainer),
            "trained": trained,
        }
        if trainer.is_global_zero:
            self._show(rows, Path(trainer.default_root_dir))

    def _show(self, rows: dict[str, dict[str, float]], run: Path) -> None:
        table = Table("test", *self.columns)
        for name, scores in rows.items():
            table.add_row(name, *(f"{scores[column]:.3f}" for column in self.columns))
        Console().print(table)
        path = run / "results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1) + "\n")
        rank_zero_info(f"table: {path}")


def _thumbnail_pixels(images: Tensor) -> Tensor:
    size = [min(side, _THUMBNAIL) for side in images.shape[2:]]
    if list(images.shape[2:]) != size:
        images = F.interpolate(images.float(), size, mode="area")
    embeddings: Tensor = Pixels()(images)
    return embeddings


@torch.no_grad()
def _score(encoder: Callable[[Tensor], Tensor], trainer: Trainer) -> dict[str, float]:
    loaders = trainer.test_dataloaders
    loader = loaders[0] if isinstance(loaders, list) else loaders
    assert loader is not None
    device = trainer.strategy.root_device
    collected = EmbeddingCollector()
    for batch in loader:
        collected.add({"embeddings": encoder(batch.images.to(device))}, batch)
    embedded = collected.rows(device)
    return evaluate_retrieval(embedded) | evaluate_clustering(embedded)
