"""How near the labels of what the model finds are, after every validation and test."""

from collections.abc import Sequence

from pytorch_lightning import LightningModule, Trainer
from torch import nn

from ranklight.callbacks.evaluation.embedding_evaluation import EmbeddingEvaluation, Stage
from ranklight.callbacks.evaluation.progress import stage_progress
from ranklight.metrics import (
    average_label_distances,
    average_rank_correlation,
    score_label_distances,
    score_rank_correlation,
)
from ranklight.metrics.checks import check_ks


class LabelRanking(EmbeddingEvaluation):
    """Searches the gallery for each query, and compares with the order of the labels.

    Validation and test have two loaders, **[queries, gallery]**, or one, whose images are compared
    with each other. Logs `val/label_distance@K` (mean label distance of the K nearest),
    `val/ndcg@K` (gain 1 / (1 + label distance)) and `val/spearman` (correlation of the two orders
    of the gallery); beside each `.../oracle`, what the order of the labels scores, and
    `.../chance`, what a random order does; `test/...` likewise. The same numbers are logged on
    every rank, so a checkpoint may monitor them. Sanity validation evaluates nothing. Definitions:
    `metrics.label_distance` and `metrics.spearman`.

    On several ranks each searches its share of the gallery; the numbers are those of one process.

    Args:
        ks: Every K.
        relevance: From two sets of labels to R = 1 − label distance; `pairs.LabelCloseness()` by
            default. Usually what the objective has.
        spearman: Whether to correlate, which sorts the whole gallery for each query.
        scores: Whether to keep the scores of every query, as `scores/<stage>.parquet` of the run;
            each pass replaces the file.
    """

    def __init__(
        self,
        ks: Sequence[int] = (1, 10, 100),
        relevance: nn.Module | None = None,
        spearman: bool = True,
        scores: bool = True,
    ) -> None:
        super().__init__(scores)
        check_ks(ks, "LabelRanking")
        self.ks = tuple(ks)
        self.relevance = relevance
        self.spearman = spearman

    def logs(self) -> set[str]:
        """Names of the scores that every validation logs, without the stage before them."""
        names = {f"{kind}@{k}" for kind in ("label_distance", "ndcg") for k in self.ks}
        names |= {"spearman"} if self.spearman else set()
        return {f"{name}{row}" for name in names for row in ("", "/oracle", "/chance")}

    def evaluate(self, trainer: Trainer, pl_module: LightningModule, stage: Stage) -> None:
        """Search, compare and log."""
        shown = {f"label_distance@{min(self.ks, key=lambda k: abs(k - 10))}", "spearman"}
        for sides in self.sides(trainer, stage, pl_module.device):
            queries, gallery = sides.queries, sides.gallery
            bar = stage_progress(trainer, f"{sides.name}: search", len(queries.ids), sides.among)
            with bar as advance:
                distances = score_label_distances(
                    queries, gallery, self.ks, self.relevance, advance=advance
                )
            columns = distances.columns(self.ks)
            scores = average_label_distances(queries, distances, self.ks)
            if self.spearman:
                columns["spearman"] = score_rank_correlation(queries, gallery, self.relevance)
                scores |= average_rank_correlation(queries, columns["spearman"])
            self.save_scores(trainer, sides, columns)
            self.log_scores(pl_module, sides.name, scores, shown)
