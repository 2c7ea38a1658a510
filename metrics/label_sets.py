"""How good decided sets of labels are."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_tensors, is_integer
from ranklight.metrics.checks import check_bools, multi_hot, real_matrix
from ranklight.metrics.each_image_once import EachImageOnce


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

    Raises:
        TypeError: `decided` is not True and False, or labels are no real numbers.
        ValueError: The two are not of one shape and device, or a label is NaN.
    """
    check_bools(decided=decided)
    labels = multi_hot(labels, decided, "decided")
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

    Raises:
        TypeError: A count is no integer.
        ValueError: Counts are not one a class, the same classes each, and two of images.
    """
    _check_counts(counts)
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


class LabelSetScores(nn.Module):
    """`evaluate_label_sets` of a split; each image counts once, as `EachImageOnce` has it.

        >>> scores = LabelSetScores(num_classes=2)
        >>> decided, labels = torch.tensor([[True, False]]), torch.tensor([[1.0, 1.0]])
        >>> scores.update(decided, labels, index=torch.tensor([0]))
        >>> scores.compute()["o_recall"]
        tensor(0.5000, dtype=torch.float64)

    Args:
        num_classes: c.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        none = torch.zeros(0, num_classes)
        self.images = EachImageOnce(_evaluate, decided=none.bool(), labels=none)

    def update(
        self, decided: Bool[Tensor, "n c"], labels: Float[Tensor, "n c"], index: Int[Tensor, "n"]
    ) -> None:
        """Keep a batch.

        Raises:
            TypeError: `decided` is not True and False, labels are no real numbers, or indices no
                integers.
            ValueError: They are not of the same images and classes.
        """
        check_bools(decided=decided)
        labels = real_matrix(labels, "labels")
        self.images.update(index, decided=decided, labels=labels)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images of all processes."""
        scores: dict[str, Tensor] = self.images.compute()
        return scores

    def reset(self) -> None:
        """Forget all images."""
        self.images.reset()


def _evaluate(decided: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return evaluate_label_sets(count_label_sets(decided, labels))


def _check_counts(counts: LabelSetCounts) -> None:
    given = counts._asdict()
    check_tensors(**given)
    if not all(map(is_integer, counts)):
        kinds = ", ".join(str(count.dtype) for count in counts)
        raise TypeError(f"counts of label sets must be integers; got {kinds}")
    shapes = [list(count.shape) for count in counts]
    if len(shapes[0]) != 1 or shapes != [shapes[0]] * 3 + [[]] * 2:
        raise ValueError(f"counts must be [c] three times, and two numbers; got {shapes}")


def _ratio(above: Float[Tensor, "*shape"], below: Float[Tensor, "*shape"]) -> Tensor:
    return torch.where(below > 0, above / below.clamp(min=1), 0)


def _harmonic(precision: Float[Tensor, ""], recall: Float[Tensor, ""]) -> Tensor:
    both = precision + recall
    return torch.where(both > 0, 2 * precision * recall / both, 0)
