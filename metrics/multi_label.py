"""How well scores rank the labels of each image, and the images of each label.

Labels are multi-hot: 1 applies, 0 does not, −1 is unknown. P_i and N_i are the labels of image i
that apply and that do not; an unknown one is in neither, so no rank, pair or count sees it. Of
torchmetrics, which has some of these scores, only the gathering over processes is used: it squashes
scores by a sigmoid in float32, after which many are equal, decides batch by batch whether to, and
cannot leave out unknown labels of a ranked row.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_vectors
from ranklight.kernels.masked import at_least_float32
from ranklight.metrics.checks import multi_hot, real_matrix
from ranklight.metrics.each_image_once import EachImageOnce


def average_precision(
    scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]
) -> Float[Tensor, "c"]:
    """Average precision of each class, ranking the images; its mean over classes is mAP.

        AP_k = 1/|P_k| Σ_{i ∈ P_k} |{j ∈ P_k: S_jk ≥ S_ik}| / |{j ∈ P_k ∪ N_k: S_jk ≥ S_ik}|

    P_k and N_k are the images that have class k and that do not. Every distinct score is a
    threshold and nothing is interpolated: scikit-learn's `average_precision_score`. VOC's 11 points
    and its later interpolated area are larger. A class without positives has 0 (0/0).

        >>> scores = torch.tensor([[0.9], [0.8], [0.1]])
        >>> average_precision(scores, torch.tensor([[1.0], [0.0], [1.0]]))
        tensor([0.8333], dtype=torch.float64)

    Returns:
        0..1 a class in float64.

    Raises:
        TypeError: Scores are no tensor of floats, or labels no real numbers.
        ValueError: The two are not of one shape and device, scores are not finite, a label is NaN.
    """
    scores, positive, negative = (matrix.T for matrix in _split(scores, labels))
    return _mean(_precision(scores, positive, positive | negative), positive)


def example_average_precision(
    scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]
) -> Float[Tensor, "n"]:
    """Average precision of each image, ranking its labels.

        AP_i = 1/|P_i| Σ_{v ∈ P_i} |{w ∈ P_i: S_iw ≥ S_iv}| / |{u ∈ P_i ∪ N_i: S_iu ≥ S_iv}|

    Zhang, Zhou: ML-kNN, Pattern Recognition 2007, eq. 5; what the released code of LSEP (Li, Song,
    Luo, CVPR 2017, arXiv 1704.03135) calls AP. An image without labels has 0 (0/0), which is all
    that tells it from `label_ranking_average_precision`.

        >>> scores = torch.tensor([[0.9, 0.8, 0.1]])
        >>> example_average_precision(scores, torch.tensor([[1.0, 0.0, 1.0]]))
        tensor([0.8333], dtype=torch.float64)

    Returns:
        0..1 an image in float64.

    Raises:
        TypeError: Scores are no tensor of floats, or labels no real numbers.
        ValueError: The two are not of one shape and device, scores are not finite, a label is NaN.
    """
    scores, positive, negative = _split(scores, labels)
    return _mean(_precision(scores, positive, positive | negative), positive)


def label_ranking_average_precision(
    scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]
) -> Float[Tensor, "n"]:
    """LRAP: the average precision of each image, 1 where there is nothing to rank.

    As in scikit-learn's `label_ranking_average_precision_score`, images whose known labels all
    apply, or none of them, have 1.

        >>> scores = torch.tensor([[0.9, 0.8, 0.1], [0.3, 0.2, 0.1]])
        >>> labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
        >>> label_ranking_average_precision(scores, labels)
        tensor([0.8333, 1.0000], dtype=torch.float64)

    Returns:
        0..1 an image in float64.

    Raises:
        TypeError: Scores are no tensor of floats, or labels no real numbers.
        ValueError: The two are not of one shape and device, scores are not finite, a label is NaN.
    """
    scores, positive, negative = _split(scores, labels)
    precision = example_average_precision(scores, labels)
    return precision.where(positive.any(1) & negative.any(1), 1)


def ranking_loss(scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]) -> Float[Tensor, "n"]:
    """Share of pairs (v ∈ P_i, u ∈ N_i) with S_iv ≤ S_iu: equal scores are wrong.

    As scikit-learn's `label_ranking_loss`. An image without pairs has 0 (0/0).

        >>> ranking_loss(torch.tensor([[0.9, 0.8, 0.8]]), torch.tensor([[1.0, 0.0, 1.0]]))
        tensor([0.5000], dtype=torch.float64)

    Returns:
        0..1 an image in float64.

    Raises:
        TypeError: Scores are no tensor of floats, or labels no real numbers.
        ValueError: The two are not of one shape and device, scores are not finite, a label is NaN.
    """
    scores, positive, negative = _split(scores, labels)
    return _pair_mean(_at_least(scores, negative), positive, negative)


def pair_violations(
    scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]
) -> Float[Tensor, "n"]:
    """Share of pairs (v ∈ P_i, u ∈ N_i) in wrong order, S_iv < S_iu; equal scores count half.

    What the released code of LSEP (Li, Song, Luo, CVPR 2017, arXiv 1704.03135) reports, and 1 −
    the area under the ROC curve of an image. Half is what breaking ties at random gives. An image
    without pairs has 0 (0/0).

        >>> pair_violations(torch.tensor([[0.9, 0.8, 0.8]]), torch.tensor([[1.0, 0.0, 1.0]]))
        tensor([0.2500], dtype=torch.float64)

    Returns:
        0..1 an image in float64.

    Raises:
        TypeError: Scores are no tensor of floats, or labels no real numbers.
        ValueError: The two are not of one shape and device, scores are not finite, a label is NaN.
    """
    scores, positive, negative = _split(scores, labels)
    above = (_at_least(scores, negative) + _above(scores, negative)).double() / 2
    return _pair_mean(above, positive, negative)


def coverage(scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]) -> Float[Tensor, "n"]:
    """How many labels, from the top, hold all that apply: max_{v ∈ P_i} |{u: S_iu ≥ S_iv}|.

    As scikit-learn's `coverage_error`: 1 is the best for an image with one label, and an image
    without labels has 0. Larger is worse.

        >>> coverage(torch.tensor([[0.9, 0.8, 0.1]]), torch.tensor([[0.0, 1.0, 0.0]]))
        tensor([2.], dtype=torch.float64)

    Returns:
        0..c an image in float64.

    Raises:
        TypeError: Scores are no tensor of floats, or labels no real numbers.
        ValueError: The two are not of one shape and device, scores are not finite, a label is NaN.
    """
    scores, positive, negative = _split(scores, labels)
    ranks = _at_least(scores, positive | negative)
    return torch.where(positive, ranks, 0).amax(1).double()


RANKING_SCORES = {
    "map_macro": average_precision,
    "example_ap": example_average_precision,
    "lrap": label_ranking_average_precision,
    "ranking_loss": ranking_loss,
    "pair_violations": pair_violations,
    "coverage": coverage,
}
"""By name: of each class the first, of each image the others; a split has their means."""


class LabelRankingScores(nn.Module):
    """Every ranking score of a split: means over classes (mAP) and over images (the others).

    `map_macro`, `example_ap`, `lrap`, `ranking_loss`, `pair_violations`, `coverage`. Each image
    counts once, as `EachImageOnce` has it.

        >>> metric = LabelRankingScores(num_classes=2)
        >>> labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> metric.update(torch.tensor([[0.9, 0.1], [0.8, 0.3]]), labels, torch.tensor([0, 1]))
        >>> metric.compute()["ranking_loss"]
        tensor(0.5000, dtype=torch.float64)

    Args:
        num_classes: c.
        per_class: Also give `ap/<class>`.
    """

    def __init__(self, num_classes: int, per_class: bool = False) -> None:
        super().__init__()
        none = torch.zeros(0, num_classes)
        score = partial(_evaluate, per_class=per_class)
        self.images = EachImageOnce(score, scores=none, labels=none)

    def update(
        self,
        scores: Float[Tensor, "n c"],
        labels: Float[Tensor, "n c"],
        index: Int[Tensor, "n"],
    ) -> None:
        """Keep a batch.

        Raises:
            TypeError: Scores are no floats, labels no real numbers, or indices no integers.
            ValueError: Scores, labels and indices are not of the same images and classes.
        """
        check_vectors(scores=scores)
        labels = real_matrix(labels, "labels")
        self.images.update(index, scores=scores, labels=labels)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images of all processes."""
        scores: dict[str, Tensor] = self.images.compute()
        return scores

    def reset(self) -> None:
        """Forget all images."""
        self.images.reset()


def _evaluate(scores: Tensor, labels: Tensor, per_class: bool) -> dict[str, Tensor]:
    every = {name: score(scores, labels) for name, score in RANKING_SCORES.items()}
    each = {f"ap/{label}": score for label, score in enumerate(every["map_macro"])}
    means = {name: score.mean() for name, score in every.items()}
    return {**means, **each} if per_class else means


def _split(
    scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]
) -> tuple[Float[Tensor, "n c"], Bool[Tensor, "n c"], Bool[Tensor, "n c"]]:
    """Scores as they are ranked, and which labels apply and which do not."""
    check_vectors(scores=scores)
    labels = multi_hot(labels, scores, "scores")
    if not scores.isfinite().all():
        raise ValueError("scores hold NaN or infinity: they cannot be ranked")
    return at_least_float32(scores.detach()), labels > 0, labels == 0


def _at_least(scores: Float[Tensor, "n c"], among: Bool[Tensor, "n c"]) -> Int[Tensor, "n c"]:
    """For each score, how many of a mask in its row are not smaller."""
    ordered = torch.where(among, scores, -torch.inf).sort(dim=1).values.contiguous()
    return scores.shape[1] - torch.searchsorted(ordered, scores.contiguous())


def _above(scores: Float[Tensor, "n c"], among: Bool[Tensor, "n c"]) -> Int[Tensor, "n c"]:
    """For each score, how many of a mask in its row are larger."""
    ordered = torch.where(among, scores, -torch.inf).sort(dim=1).values.contiguous()
    return scores.shape[1] - torch.searchsorted(ordered, scores.contiguous(), right=True)


def _precision(
    scores: Float[Tensor, "n c"], positive: Bool[Tensor, "n c"], known: Bool[Tensor, "n c"]
) -> Float[Tensor, "n c"]:
    return _at_least(scores, positive) / _at_least(scores, known).clamp(min=1).double()


def _mean(values: Float[Tensor, "n c"], among: Bool[Tensor, "n c"]) -> Float[Tensor, "n"]:
    return torch.where(among, values, 0).sum(1) / among.sum(1).clamp(min=1)


def _pair_mean(
    wrong: Float[Tensor, "n c"] | Int[Tensor, "n c"],
    positive: Bool[Tensor, "n c"],
    negative: Bool[Tensor, "n c"],
) -> Float[Tensor, "n"]:
    pairs = positive.sum(1) * negative.sum(1)
    return torch.where(positive, wrong, 0).sum(1).double() / pairs.clamp(min=1)
