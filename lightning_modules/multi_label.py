"""Multi-label classification: logits that rank the labels of each image, then a decision."""

from typing import Any, Literal, cast

import pytorch_lightning as pl
from jaxtyping import Float
from pytorch_lightning import Callback, LightningDataModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from ranklight.datamodules import Batch
from ranklight.kernels.masked import at_least_float32
from ranklight.lightning_modules.checkpoint import check_same_architecture
from ranklight.lightning_modules.chunks import check_chunks, in_chunks
from ranklight.lightning_modules.frozen_epochs import FrozenEpochs
from ranklight.lightning_modules.optimizers import configure
from ranklight.lightning_modules.rates import Rate, rates_of
from ranklight.lightning_modules.scores import log_scores
from ranklight.lightning_modules.sizes import check_num_classes, complete_trunks, num_classes_of
from ranklight.metrics import LabelRankingScores
from ranklight.metrics.multi_label import RANKING_SCORES
from ranklight.models import LinearHead, Pictures
from ranklight.pairs.checks import check_finite_labels


class MultiLabelClassification(pl.LightningModule):
    """Trains an encoder and a head to score each class, by any multi-label loss.

    The logits are S. Labels are multi-hot: 1 applies, 0 does not, −1 is unknown; R is 1 where a
    label applies, M is True where it is known.

    Logs `train/loss` and `val/...`, `test/...` of `metrics.LabelRankingScores`: select models by
    `val/map_macro`. Decision rules take no part in training. `callbacks.LabelDecision` fits them
    when it is over, and scores them in tests.

    Args:
        encoder: Images to features: `models.Encoder` without projection (embedding_dim null) and
            not normalised, as losses on logits expect; or to maps: `models.FeatureMap`.
        loss: Of (similarity, relevance, selection), for example `losses.LSEPLoss`.
        optimizer: Called with the parameters of encoder, last layer and loss.
        lr_scheduler: Called with the optimizer.
        lr_interval: How often the schedule steps: once an "epoch" or a training "step".
        num_classes: Columns of the labels; None: those of the data, when a run begins.
        head: Features to logits: `models.LinearHead`, which None is; or maps to logits:
            `models.MLDecoder`.
        decisions: Rules from scores to sets of labels, by the names under which they are reported,
            for example `models.LabelCount`.
        rates: Who learns how fast: parts of this module by name, each with a factor of the rate or
            a `Rate`; what is not named learns at the optimizer's rate. For example encoder.trunk:
            0.1 and head: 10.
        decay_norms_and_biases: False: no weight decay of vectors (norms, biases), nor of what a
            network of timm excepts.
        chunk_size: Images of a rank's batch that the network holds at once in training, see
            `in_chunks`; None: all. For batches larger than the memory.
    """

    def __init__(
        self,
        encoder: nn.Module,
        loss: nn.Module,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_interval: Literal["epoch", "step"] = "epoch",
        num_classes: int | None = None,
        head: nn.Module | None = None,
        decisions: dict[str, nn.Module] | None = None,
        rates: dict[str, float | Rate] | None = None,
        decay_norms_and_biases: bool = True,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = LinearHead() if head is None else head
        self.loss = loss
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_interval = lr_interval
        self.rates = rates_of(rates)
        self.decay_norms_and_biases = decay_norms_and_biases
        self.chunk_size = chunk_size
        self.num_classes: int | None = None
        self.decisions = nn.ModuleDict(decisions or {})
        if num_classes is not None:
            self._build(num_classes)

    def setup(self, stage: str) -> None:
        """Take from the data what was not given: the number of classes."""
        self.complete(self.trainer.datamodule)  # type: ignore[attr-defined]
        if stage == "fit":
            check_chunks(self.encoder, self.chunk_size)

    def complete(self, data: LightningDataModule | None) -> None:
        """Build what depends on the data, once."""
        complete_trunks(self, data)
        if self.num_classes is None:
            self._build(num_classes_of(data))
        check_num_classes(cast(int, self.num_classes), data)

    def _build(self, num_classes: int) -> None:
        self.num_classes = num_classes
        features = cast(int, self.encoder.embedding_dim)
        cast(Any, self.head).complete(num_classes, features)
        self.val_scores = LabelRankingScores(num_classes)
        self.test_scores = LabelRankingScores(num_classes, per_class=True)
        for rule in self.decisions.values():
            if hasattr(rule, "complete"):
                cast(Any, rule).complete(num_classes, features)

    def forward(self, images: Pictures) -> Float[Tensor, "n k"]:
        """One logit a class, in float32 or wider."""
        return self.scores_and_features(images)[0]

    def scores_and_features(
        self, images: Pictures
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n d"]]:
        """Logits and what they were computed of, of maps the mean; in float32 or wider."""
        features: Tensor = self.encoder(images)
        scores: Tensor = self.head(features)
        vectors = features.mean((2, 3)) if features.ndim == 4 else features
        return at_least_float32(scores), at_least_float32(vectors)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        scores = in_chunks(self, batch.images, self.chunk_size)
        labels = self._multi_hot(batch)
        loss: Tensor = self.loss(scores, labels.clamp(min=0), labels >= 0)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(labels), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Scores, kept until the epoch ends."""
        scores, labels = self(batch.images), self._multi_hot(batch)
        self.val_scores.update(scores, labels, batch.index)
        return {"scores": scores}

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        return set(RANKING_SCORES)

    def on_validation_epoch_end(self) -> None:
        """Log the ranking scores of the validation part."""
        log_scores(self, "val", self.val_scores)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Scores, and what each rule says."""
        labels = self._multi_hot(batch)
        outputs = self._decide(batch)
        self.test_scores.update(outputs["scores"], labels, batch.index)
        return outputs

    def on_test_epoch_end(self) -> None:
        """Log the ranking scores of the test part."""
        log_scores(self, "test", self.test_scores)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Scores and what each rule says, with what they are of."""
        return {**self._decide(batch), "labels": batch.labels, "index": batch.index}

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Refuse labels that are NaN while they are on the CPU, where looking is free.

        Raises:
            ValueError: A label is NaN or infinite.
        """
        check_finite_labels(batch.labels)
        return batch

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer over everything that learns in training, each part at its rate."""
        return configure(
            self,
            self.optimizer,
            self.lr_scheduler,
            self.lr_interval,
            self.rates,
            self.decay_norms_and_biases,
        )

    def configure_callbacks(self) -> list[Callback]:
        """Who lets parts rest."""
        return [FrozenEpochs(self.rates)]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights of another architecture; a rule that the checkpoint lacks is unfitted."""
        weights: dict[str, Tensor] = checkpoint["state_dict"]
        for name, rule in self.decisions.items():
            prefix = f"decisions.{name}."
            if not any(key.startswith(prefix) for key in weights):
                weights |= {f"{prefix}{key}": value for key, value in rule.state_dict().items()}
        check_same_architecture(self, weights)

    def _decide(self, batch: Batch) -> dict[str, Tensor]:
        scores, features = self.scores_and_features(batch.images)
        decided = {
            f"decision/{name}": rule(scores, features) for name, rule in self.decisions.items()
        }
        return {"scores": scores, **decided}

    def _multi_hot(self, batch: Batch) -> Tensor:
        needed = (len(batch.images), self.num_classes)
        if batch.labels.shape != needed or not batch.labels.is_floating_point():
            raise ValueError(
                f"labels must be multi-hot, {list(needed)} floats of 1 (applies), 0 (does not) and "
                f"-1 (unknown); got {list(batch.labels.shape)} of {batch.labels.dtype}"
            )
        return batch.labels
