"""How well the model tells whether two images are of one class, after every validation and test."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation, Sides, Stage
from ranklight.callbacks.evaluation.known_of_images import check_known
from ranklight.callbacks.evaluation.listed_pairs import ListedPairs, pairs_of_file
from ranklight.callbacks.evaluation.progress import stage_progress
from ranklight.callbacks.evaluation.scores_file import dataset_of, loaders_of, write_scores
from ranklight.kernels.checks import check_choice
from ranklight.metrics import (
    PairCounts,
    bootstrap_identities,
    count_pairs,
    fit_threshold,
    fold_accuracy,
    judge_pairs,
    pair_distances,
    score_verification,
    tally_distances,
)
from ranklight.metrics.answers import Apart
from ranklight.metrics.verification import FARS, check_fars, far_name

_BARS = 128
_LEAST_IDENTITIES = 20


class Histograms(NamedTuple):
    """What a picture shows of pairs: how many there are in intervals of similarity.

    Args:
        edges: Of the intervals of S = 1 − ½ d².
        same: Pairs of the same class in each.
        different: Pairs of different classes.
        threshold: The similarity from which on two images are taken for the same class.
    """

    edges: NDArray[np.float64]
    same: NDArray[np.float64]
    different: NDArray[np.float64]
    threshold: float | None


class VerificationEvaluation(EmbeddingEvaluation):
    """Pairs of images: is it the same class? Every threshold, and the one fitted on validation.

    Pairs are all that the loader's images make, or all of a query with an image of the gallery
    where a stage has two loaders, counted in blocks; or those of a file; or, without a file, those
    that the data module lists (`pairs(stage)`: ids, whether they are the same, perhaps folds).

    Logs `val/auc`, `val/eer`, `val/tar@1e-3` (TAR at that FAR) with Wilson's 95 % bounds
    `.../low` and `.../high`, `val/far_resolution` (the smallest FAR that the pairs can tell;
    smaller ones are left out), `val/same_pairs`, `val/different_pairs`; `test/...` likewise. The
    definitions are `metrics.score_verification`'s. Listed pairs with folds have
    `val/fold_accuracy` and its `.../standard_error`, LFW's score.

    **The threshold is fitted on validation** (`metrics.fit_threshold`) and is in every checkpoint
    that is saved after it. `val/threshold` is the similarity S = 1 − ½ d² from which on two images
    are taken for the same class, `val/accuracy`, `val/tar` and `val/far` what it gets right there,
    where it was fitted. `test/...` of the same names judge other pairs by the checkpoint's
    threshold; without one they are left out, with a warning.

    The same numbers are logged on every rank and do not depend on how many there are. Sanity
    validation scores nothing, but looks up the names of a file.

    Args:
        val_pairs: A file of pairs for validation: see `read_pair_table`. Images by the end of their
            path, or by `index`; of two loaders, the first of a pair is among the queries and the
            second in the gallery.
        test_pairs: The same for test.
        fars: The false accept rates at which the true accept rate is scored.
        apart: What is no pair among all: see `metrics.count_pairs`.
        bootstrap: How often identities are drawn for the bounds `.../identity_low` and
            `.../identity_high` of `auc`, `eer` and TAR of all pairs, outside of training:
            `metrics.bootstrap_identities`. It takes a second pass over all pairs, and 20 classes or
            more; 0 for none.
        scores: Whether to keep the similarity of every listed pair, as
            `scores/<stage>-pairs.parquet` of the run.

    Raises:
        ValueError: A FAR is not above 0 and at most 1, or `bootstrap` is below 0. Before training:
            a file of pairs names an unknown image, or all pairs are of one kind.
    """

    def __init__(
        self,
        val_pairs: str | None = None,
        test_pairs: str | None = None,
        fars: Sequence[float] = FARS,
        apart: Apart = "image",
        bootstrap: int = 1000,
        scores: bool = True,
    ) -> None:
        super().__init__(scores)
        check_fars(fars)
        check_choice(Apart, apart=apart)
        if bootstrap < 0:
            raise ValueError(f"bootstrap is a number of draws, 0 for none; got {bootstrap}")
        self.files = {"val": val_pairs, "test": test_pairs}
        self.fars = tuple(fars)
        self.apart: Apart = apart
        self.bootstrap = bootstrap
        self.thresholds: dict[str, float] = {}
        self.histograms: Histograms | None = None
        self._listed: ListedPairs | None = None
        self._loaded = False

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        names = {"auc", "eer", "far_resolution", "same_pairs", "different_pairs"}
        names |= {"threshold", "accuracy", "tar", "far", "fold_accuracy"}
        return names | {f"tar@{far_name(far)}" for far in self.fars}

    def state_dict(self) -> dict[str, Any]:
        """The thresholds, squared distances by the name of the data set."""
        return {"thresholds": dict(self.thresholds)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a checkpoint's thresholds."""
        self.thresholds, self._loaded = dict(state_dict["thresholds"]), True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """A checkpoint, if there is one, is loaded after this.

        Raises:
            ValueError: All pairs are to be counted, apart by groups that no image has.
        """
        self._loaded = False
        data = getattr(trainer, "datamodule", None)
        if None in self.files.values() and not hasattr(data, "pairs"):
            check_known(trainer, self.apart)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look the pairs up, before training too."""
        self._listed = self._list(trainer, "val")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look the pairs up; forget the threshold of weights that a checkpoint has replaced."""
        self._listed = self._list(trainer, "test")
        if trainer.ckpt_path is not None and not self._loaded:
            self.thresholds = {}

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        """Count pairs, score and log."""
        for number, sides in enumerate(self.sides(trainer, stage, pl_module.device)):
            own = (
                self._of_all(trainer, sides)
                if self._listed is None
                else self._of_list(trainer, sides)
            )
            counts, scores = own
            if len(counts.squared_distance) == 1:
                rank_zero_warn(
                    f"{sides.name}: all pairs are equally far apart, as those of a collapsed model "
                    "are; the scores are those of chance"
                )
            scores |= self._judge(stage, sides.name, counts)
            if number == 0:
                self.histograms = _histograms(counts, scores.get("threshold"))
            self.log_scores(pl_module, sides.name, scores, {"auc", "eer", "accuracy"})

    def _of_all(self, trainer: Trainer, sides: Sides) -> tuple[PairCounts, dict[str, float]]:
        steps = len(sides.queries.ids)
        with stage_progress(trainer, f"{sides.name}: pairs", steps, sides.among) as advance:
            counts = count_pairs(sides.queries, sides.gallery, self.apart, advance)
        scores = score_verification(counts, self.fars)
        if self.bootstrap and trainer.state.fn != "fit" and _enough_identities(sides):
            with stage_progress(trainer, f"{sides.name}: bounds", steps, sides.among) as advance:
                scores |= bootstrap_identities(
                    counts,
                    sides.queries,
                    sides.gallery,
                    self.fars,
                    self.apart,
                    self.bootstrap,
                    advance=advance,
                )
        return counts, scores

    def _of_list(self, trainer: Trainer, sides: Sides) -> tuple[PairCounts, dict[str, float]]:
        assert self._listed is not None
        device = sides.queries.embeddings.device
        ids, same = self._listed.ids.to(device), self._listed.same.to(device)
        both = zip((sides.queries, sides.among), ids.unbind(1), strict=True)
        positions = torch.stack([side.positions_of(of) for side, of in both], 1)
        distance = pair_distances(sides.queries, sides.among, positions)
        counts = tally_distances(distance, same)
        scores = score_verification(counts, self.fars)
        if self._listed.folds is not None:
            mean, error = fold_accuracy(distance, same, self._listed.folds.to(device))
            scores |= {"fold_accuracy": mean, "fold_accuracy/standard_error": error}
        if self.keep_scores and trainer.is_global_zero:
            self._save(trainer, sides.name, distance)
        return counts, scores

    def _save(self, trainer: Trainer, name: str, distance: Float[Tensor, "p"]) -> None:
        ids, same, folds = self._listed  # type: ignore[misc]
        columns = {"first": ids[:, 0], "second": ids[:, 1], "same": same}
        columns |= {} if folds is None else {"fold": folds}
        columns |= {"similarity": 1 - distance.cpu() / 2}
        write_scores(trainer, f"{name}-pairs", columns)

    def _judge(self, stage: Stage, name: str, counts: PairCounts) -> dict[str, float]:
        data = name.partition("/")[2]
        if stage == "val":
            self.thresholds[data] = fit_threshold(counts)
        threshold = self.thresholds.get(data)
        if threshold is None:
            rank_zero_warn(
                f"no threshold was fitted on validation for these weights: {name}/accuracy, "
                f"{name}/tar and {name}/far are left out; train or validate with "
                "VerificationEvaluation among the callbacks first"
            )
            return {}
        return {"threshold": 1 - threshold / 2, **judge_pairs(counts, threshold)._asdict()}

    def _list(self, trainer: Trainer, stage: Stage) -> ListedPairs | None:
        data: Any = getattr(trainer, "datamodule", None)
        loaders = loaders_of(trainer, stage)
        numbers = range(len(loaders)) if isinstance(loaders, Sequence) else range(1)
        datasets = [dataset_of(loaders, number) for number in numbers]
        file = self.files[stage]
        listed = None
        if file is not None:
            listed = pairs_of_file(file, datasets)
        elif hasattr(data, "pairs"):
            listed = ListedPairs(*data.pairs(stage))
        same = _same_pairs(datasets) if listed is None else listed.same
        if same is not None and (same.all() or not same.any()):
            raise ValueError(
                "verification needs pairs of the same class and pairs of different ones; all of "
                f"{file or stage} are {'the same' if len(same) and same.all() else 'different'}"
            )
        return listed


def _same_pairs(datasets: Sequence[Any]) -> Tensor | None:
    """Whether pairs of one data set's images are the same, of as few as tell whether all are."""
    labels = torch.as_tensor(getattr(datasets[0], "labels", ()))
    if len(datasets) > 1 or labels.ndim != 1 or len(labels) < 2 or labels.is_floating_point():
        return None
    _, counts = torch.unique(labels, return_counts=True)
    return torch.cat([counts > 1, torch.zeros(min(len(counts) - 1, 1), dtype=torch.bool)])


def _enough_identities(sides: Sides) -> bool:
    """Whether there are enough classes to draw from; says so if not. Collective."""
    labels = sides.queries.shards.all_gather(sides.queries.labels)
    classes = len(torch.unique(labels))
    if classes < _LEAST_IDENTITIES:
        rank_zero_info(
            f"{sides.name}: there are no bounds over identities, which need "
            f"{_LEAST_IDENTITIES} classes or more to draw from; there are {classes}"
        )
    return classes >= _LEAST_IDENTITIES


def _histograms(counts: PairCounts, threshold: float | None) -> Histograms:
    distance, same, different = (part.cpu().double().numpy() for part in counts)
    similarity = 1 - distance / 2
    edges = np.histogram_bin_edges(similarity, _BARS)
    bars = [np.histogram(similarity, edges, weights=of)[0] for of in (same, different)]
    return Histograms(edges, bars[0], bars[1], threshold)
