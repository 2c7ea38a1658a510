"""How good decided sets of labels are."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchmetrics import Metric


class LabelSetCounts(NamedTuple):
    """What all scores of decided label sets follow from; counts of several batches add up.

    Unknown labels (−1) count nowhere: an image is exact if it is right in all labels that are
    known of it.

        >>> counts = LabelSetCounts(*map(torch.tensor, ([1, 1], [1, 2], [1, 1], 1, 2)))
        >>> evaluate_label_sets(counts)["exact_match"]
        tensor(0.5000, dtype=torch.float64)
    """

    correct: Int[Tensor, "c"]
    predicted: Int[Tensor, "c"]
    actual: Int[Tensor, "c"]
    exact: Int[Tensor, ""]
    images: Int[Tensor, ""]


def count_label_sets(decided: Bool[Tensor, "n c"], labels: Float[Tensor, "n c"]) -> LabelSetCounts:
    """Count a batch.

        >>> decided = torch.tensor([[True, True], [False, True]])
        >>> count_label_sets(decided, torch.tensor([[1.0, 0.0], [0.0, 1.0]])).correct
        tensor([1, 1])

    Args:
        decided: True where the image is said to have the label.
        labels: Multi-hot: 1 applies, 0 does not, −1 is unknown.
    """
    actual, predicted = labels > 0, decided & (labels >= 0)
    return LabelSetCounts(
        (actual & predicted).sum(0),
        predicted.sum(0),
        actual.sum(0),
        (actual == predicted).all(1).sum(),
        torch.tensor(len(labels), device=labels.device),
    )


def evaluate_label_sets(counts: LabelSetCounts) -> dict[str, Tensor]:
    """Precision, recall and F1 in their three kinds, and exact match; **0/0 is 0**.

        c_precision = 1/c Σ_k correct_k / predicted_k       o_precision = Σ correct / Σ predicted
        c_recall    = 1/c Σ_k correct_k / actual_k          o_recall    = Σ correct / Σ actual
        c_f1 = 2 c_precision c_recall / (c_precision + c_recall),  o_f1 likewise
        mean_class_f1 = 1/c Σ_k 2 correct_k / (predicted_k + actual_k)
        exact_match = share of images whose set is right

    C-P, C-R, C-F1, O-P, O-R, O-F1 are those of the multi-label literature, in which C-F1 is the
    harmonic mean of two means; `mean_class_f1`, the mean of harmonic means, is scikit-learn's macro
    F1, and never the larger of the two. O-F1 is its micro F1. A class that never occurs or is never
    predicted counts, with 0, as in the released code of LSEP (Li, Song, Luo, CVPR 2017, arXiv
    1704.03135) since 2016-09.

        >>> decided = torch.tensor([[True, True], [False, True]])
        >>> counts = count_label_sets(decided, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> evaluate_label_sets(counts)["o_precision"]
        tensor(0.6667, dtype=torch.float64)
    """
    correct, predicted, actual = (part.double() for part in counts[:3])
    class_scores = _ratio(correct, predicted).mean(), _ratio(correct, actual).mean()
    overall = _ratio(correct.sum(), predicted.sum()), _ratio(correct.sum(), actual.sum())
    return {
        "c_precision": class_scores[0],
        "c_recall": class_scores[1],
        "c_f1": _harmonic(*class_scores),
        "o_precision": overall[0],
        "o_recall": overall[1],
        "o_f1": _harmonic(*overall),
        "mean_class_f1": _ratio(2 * correct, predicted + actual).mean(),
        "exact_match": _ratio(counts.exact.double(), counts.images.double()),
    }


class LabelSetScores(Metric):
    """`evaluate_label_sets` of a split, shared out among processes in any way.

        >>> scores = LabelSetScores(num_classes=2)
        >>> scores.update(torch.tensor([[True, False]]), torch.tensor([[1.0, 1.0]]))
        >>> scores.compute()["o_recall"]
        tensor(0.5000, dtype=torch.float64)

    Args:
        num_classes: c.
    """

    full_state_update = False
    correct: Tensor
    predicted: Tensor
    actual: Tensor
    exact: Tensor
    images: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        for name in ("correct", "predicted", "actual"):
            default = torch.zeros(num_classes, dtype=torch.int64)
            self.add_state(name, default=default, dist_reduce_fx="sum")
        for name in ("exact", "images"):
            self.add_state(name, default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, decided: Bool[Tensor, "n c"], labels: Float[Tensor, "n c"]) -> None:
        """Count a batch."""
        for name, count in count_label_sets(decided, labels)._asdict().items():
            setattr(self, name, getattr(self, name) + count)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images of all processes."""
        return evaluate_label_sets(
            LabelSetCounts(self.correct, self.predicted, self.actual, self.exact, self.images)
        )


def _ratio(above: Float[Tensor, "*shape"], below: Float[Tensor, "*shape"]) -> Tensor:
    return torch.where(below > 0, above / below.clamp(min=1), 0)


def _harmonic(precision: Float[Tensor, ""], recall: Float[Tensor, ""]) -> Tensor:
    both = precision + recall
    return torch.where(both > 0, 2 * precision * recall / both, 0)
