"""Labels that score above a threshold, one for all classes or one a class."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.models.decisions.rule import Examples, FitOn, agreed, check_examples, check_fitted


class GlobalThreshold(nn.Module):
    """All labels with S_ik > θ, where θ maximises the mean of the F1 of each class.

        θ = argmax 1/c Σ_k 2 correct_k(θ) / (predicted_k(θ) + actual_k),  0/0 = 0

    The criterion (scikit-learn's macro F1) is that of the released code of LSEP (Li, Song, Luo,
    CVPR 2017, arXiv 1704.03135), which tries 50 thresholds between the extremes of each image's ten
    highest scores. Here all are tried, in O(n c log n c): F1 changes only where θ passes a score. θ
    is the middle between two scores; of equally good ones the highest.

    Without a single positive among the images it is infinite: no label is said.
    """

    threshold: Tensor
    fitted: Tensor
    fit_on: FitOn = "val"

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(0.0))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, examples: Examples, seed: int = 0) -> None:
        """Find the threshold; unknown labels do not count.

        Raises:
            ValueError: There are no images, or scores, features and targets do not match.
        """
        check_examples(self, examples)
        ordered, f1 = _f1_of_cuts(examples.scores, examples.targets)
        gain = f1.diff(dim=0, prepend=torch.zeros_like(f1[:1])).flatten()
        every, order = ordered.flatten().sort(descending=True, stable=True)
        mean_f1 = gain[order].cumsum(0) / f1.shape[1]
        self.threshold.copy_(_best(every[:, None], mean_f1[:, None]).squeeze())
        self.fitted.fill_(True)

    def forward(
        self, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
    ) -> Bool[Tensor, "n c"]:
        """Where scores are above the threshold.

        Raises:
            RuntimeError: It was not fitted.
        """
        check_fitted(self)
        return scores > self.threshold


class PerClassThreshold(nn.Module):
    """All labels with S_ik > θ_k, where θ_k maximises the F1 of class k.

        θ_k = argmax 2 correct_k(θ) / (predicted_k(θ) + actual_k)

    Every threshold is tried, as in `GlobalThreshold`. The θ_k of a class without positives is
    infinite: it is never said.

    Args:
        num_classes: c; None: that of the data, when a run begins.
    """

    threshold: Tensor
    fitted: Tensor
    fit_on: FitOn = "val"

    def __init__(self, num_classes: int | None = None) -> None:
        super().__init__()
        if num_classes is not None:
            check_counts(num_classes=num_classes)
        self.num_classes = num_classes
        self.register_buffer("threshold", torch.zeros(num_classes or 0))
        self.register_buffer("fitted", torch.tensor(False))

    def complete(self, num_classes: int, num_features: int) -> None:
        """Make a threshold for each class, now that they are known.

        Raises:
            ValueError: Another number of them was given.
        """
        if self.num_classes is None:
            self.threshold = self.threshold.new_zeros(num_classes)
        self.num_classes = agreed(self, "num_classes", self.num_classes, num_classes)

    def fit(self, examples: Examples, seed: int = 0) -> None:
        """Find the thresholds; unknown labels do not count.

        Raises:
            ValueError: There are no images, another number of classes than said, or scores,
                features and targets do not match.
        """
        check_examples(self, examples, len(self.threshold))
        self.threshold.copy_(_best(*_f1_of_cuts(examples.scores, examples.targets)))
        self.fitted.fill_(True)

    def forward(
        self, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
    ) -> Bool[Tensor, "n c"]:
        """Where scores are above their class's threshold.

        Raises:
            RuntimeError: It was not fitted.
        """
        check_fitted(self)
        return scores > self.threshold


def _f1_of_cuts(
    scores: Float[Tensor, "n c"], targets: Float[Tensor, "n c"]
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """Scores of each class from high to low, unknown ones as −∞, and F1 when cut after each."""
    known, positive = targets >= 0, targets > 0
    ordered, order = torch.where(known, scores, -torch.inf).sort(
        dim=0, descending=True, stable=True
    )
    correct = positive.gather(0, order).cumsum(0)
    predicted = known.gather(0, order).cumsum(0)
    return ordered, 2 * correct / (predicted + positive.sum(0)).clamp(min=1).double()


def _best(ordered: Float[Tensor, "n c"], criterion: Float[Tensor, "n c"]) -> Float[Tensor, "c"]:
    """Of the cuts between different scores the one with the highest criterion; ∞ where that is 0.

    Scores descend. The middle of two neighbouring floats may round to the upper one, which has to
    be above the threshold: the lower one is taken then.
    """
    below = torch.cat([ordered[1:], torch.full_like(ordered[:1], -torch.inf)])
    best, place = torch.where(ordered > below, criterion, 0).max(0, keepdim=True)
    upper, lower = ordered.gather(0, place), below.gather(0, place)
    lower = torch.where(
        lower.isfinite(), lower, upper.nextafter(torch.full_like(upper, -torch.inf))
    )
    middle = (upper + lower) / 2
    threshold = torch.where(middle < upper, middle, lower)
    return torch.where(best > 0, threshold, torch.inf).squeeze(0)
