"""How well scores rank the labels of each image, and the images of each label.

Labels are multi-hot: 1 applies, 0 does not, −1 is unknown. P_i and N_i are the labels of image i
that apply and that do not; an unknown one is in neither, so no rank, pair or count sees it. Of
torchmetrics, which has some of these scores, only the gathering over processes is used: it squashes
scores by a sigmoid in float32, after which many are equal, decides batch by batch whether to, and
cannot leave out unknown labels of a ranked row.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchmetrics import Metric


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
        ValueError: Scores are not finite.
    """
    positive, negative = _split(scores.T, labels.T)
    return _mean(_precision(scores.T, positive, positive | negative), positive)


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
        ValueError: Scores are not finite.
    """
    positive, negative = _split(scores, labels)
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
        ValueError: Scores are not finite.
    """
    positive, negative = _split(scores, labels)
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
        ValueError: Scores are not finite.
    """
    positive, negative = _split(scores, labels)
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
        ValueError: Scores are not finite.
    """
    positive, negative = _split(scores, labels)
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
        ValueError: Scores are not finite.
    """
    positive, negative = _split(scores, labels)
    ranks = _at_least(scores, positive | negative)
    return torch.where(positive, ranks, 0).amax(1).double()


class LabelRankingScores(Metric):
    """Every ranking score of a split: means over classes (mAP) and over images (the others).

    `map_macro`, `example_ap`, `lrap`, `ranking_loss`, `pair_violations`, `coverage`. Processes may
    hold shards of any length, also none; rows are put in the order of their index first, so the
    result does not depend on the number of processes, to the last bit. An image that a sampler
    repeated counts once, as in `RetrievalEvaluation`.

        >>> metric = LabelRankingScores(num_classes=2)
        >>> labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> metric.update(torch.tensor([[0.9, 0.1], [0.8, 0.3]]), labels, torch.tensor([0, 1]))
        >>> metric.compute()["ranking_loss"]
        tensor(0.5000, dtype=torch.float64)

    Args:
        num_classes: c.
        per_class: Also give `ap/<class>`.
    """

    full_state_update = False
    scores: list[Tensor]
    labels: list[Tensor]
    index: list[Tensor]

    def __init__(self, num_classes: int, per_class: bool = False) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.per_class = per_class
        for name in ("scores", "labels", "index"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.reset()

    def reset(self) -> None:
        """Forget all images. Empty rows stay, for torchmetrics cannot gather from empty lists."""
        super().reset()
        none = torch.zeros(0, self.num_classes, device=self.device)
        self.scores.append(none)
        self.labels.append(none)
        self.index.append(none[:, 0].long())

    def update(
        self,
        scores: Float[Tensor, "n c"],
        labels: Float[Tensor, "n c"],
        index: Int[Tensor, "n"],
    ) -> None:
        """Keep a batch."""
        self.scores.append(scores.detach().float())
        self.labels.append(labels)
        self.index.append(index)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images of all processes."""
        index = _joined(self.index)
        order = index.argsort(stable=True)
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = index[order[1:]] != index[order[:-1]]
        order = order[first]
        rows = _joined(self.scores)[order], _joined(self.labels)[order]
        classes = average_precision(*rows)
        means = {
            "map_macro": classes,
            "example_ap": example_average_precision(*rows),
            "lrap": label_ranking_average_precision(*rows),
            "ranking_loss": ranking_loss(*rows),
            "pair_violations": pair_violations(*rows),
            "coverage": coverage(*rows),
        }
        each = {f"ap/{label}": score for label, score in enumerate(classes)}
        return {name: score.mean() for name, score in means.items()} | (
            each if self.per_class else {}
        )


def _joined(parts: Any) -> Tensor:
    return parts if isinstance(parts, Tensor) else torch.cat(parts)


def _split(
    scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]
) -> tuple[Bool[Tensor, "n c"], Bool[Tensor, "n c"]]:
    if not scores.isfinite().all():
        raise ValueError("scores hold NaN or infinity: they cannot be ranked")
    return labels > 0, labels == 0


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
