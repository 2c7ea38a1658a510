"""Scores of a whole split, logged when it has ended."""

import pytorch_lightning as pl

from ranklight.metrics import EachImageOnce, LabelRankingScores


def log_scores(
    module: pl.LightningModule, stage: str, scores: EachImageOnce | LabelRankingScores
) -> None:
    """Log `<stage>/<name>` of each, and begin anew; collective."""
    named = {f"{stage}/{name}": score.float() for name, score in scores.compute().items()}
    # Every rank has the same numbers; their maximum is exact, their mean might not be.
    module.log_dict(named, sync_dist=True, reduce_fx="max")
    scores.reset()
