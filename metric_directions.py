"""Which way a logged score gets better."""

from typing import Literal

_FALL = {
    "coverage",
    "ece",
    "eer",
    "error",
    "far",
    "hamming_loss",
    "inertia",
    "label_distance",
    "loss",
    "mae",
    "mse",
    "one_error",
    "pair_violations",
    "ranking_loss",
    "rmse",
}
_RISE = {
    "accuracy",
    "ami",
    "ap",
    "auc",
    "average_precision",
    "exact_match",
    "example_ap",
    "c_f1",
    "c_precision",
    "c_recall",
    "f1",
    "index_recall",
    "label_ranking_average_precision",
    "lrap",
    "map",
    "mean_class_f1",
    "ndcg",
    "nmi",
    "o_f1",
    "o_precision",
    "o_recall",
    "precision",
    "r_precision",
    "recall",
    "score",
    "similarity_precision",
    "spearman",
    "tar",
}


def direction_of(metric: str) -> Literal["min", "max"] | None:
    """How a metric is when it is best; None for a name that is not known.

    Of `val/<loader>/recall@10` the last part that is no number counts, without its K and without
    an average (`_macro`, `_micro`, `_samples`); so does an ending, as in `val_loss`.

    Args:
        metric: A logged name.
    """
    *_, last = [part for part in metric.lower().split("/") if not part.isdigit()] or [""]
    name = last.split("@")[0]
    for average in ("_macro", "_micro", "_samples", "_weighted"):
        name = name.removesuffix(average)
    for direction, names in (("min", _FALL), ("max", _RISE)):
        if name in names:
            return "min" if direction == "min" else "max"
    endings = ("_loss", "_error", "_distance")
    return "min" if name.endswith(endings) else "max" if name.endswith("_accuracy") else None
