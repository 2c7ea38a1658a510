"""Labels that score above a threshold which a head predicts for the image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_choice
from ranklight.models.decisions.head import (
    DecisionHead,
    Inputs,
    check_learning,
    num_inputs,
    select,
)
from ranklight.models.decisions.rule import Examples, FitOn, agreed, check_examples, check_fitted


class LearnedThreshold(nn.Module):
    """All labels with S_ik > θ_ik, where a head predicts θ_i from the image's features.

        L = mean over known labels of BCE(sigmoid(S_ik − θ_ik), R_ik),   θ_i = μ + head(features_i)

    Li, Song, Luo: Improving Pairwise Ranking for Multi-label Image Classification, CVPR 2017,
    arXiv 1704.03135. The scores carry no gradient. As in the paper the threshold is subtracted; the
    released code adds what the head says, which is the same with the other sign. Hidden layers of
    100 and 10 are the paper's; the code has 4c and 2c. μ_k, the mean score of the class, is ours:
    scores of a ranking loss have no natural zero, and the head starts from where they are. How it
    is trained differs, too: see `models.decisions.head.DecisionHead`.

    Args:
        num_classes: c; None: that of the data, when a run begins.
        num_features: Size of the encoder's features; None: what it is, when a run begins.
        hidden: Sizes of the hidden layers.
        inputs: What the head looks at.
        fit_on: Which split to learn from.
        steps: Batches to learn from.

    Raises:
        TypeError: A size or the number of steps is not whole.
        ValueError: One is below 1, or a choice is none of those above.
    """

    mean: Tensor
    fitted: Tensor

    def __init__(
        self,
        num_classes: int | None = None,
        num_features: int | None = None,
        hidden: Sequence[int] = (100, 10),
        inputs: Inputs = "features",
        fit_on: FitOn = "train",
        steps: int = 1000,
    ) -> None:
        super().__init__()
        check_learning(hidden, steps)
        check_choice(Inputs, inputs=inputs)
        check_choice(FitOn, fit_on=fit_on)
        self.num_classes = num_classes
        self.num_features = num_features
        self.hidden = hidden
        self.inputs = inputs
        self.fit_on = fit_on
        self.steps = steps
        self.register_buffer("mean", torch.zeros(0))
        self.register_buffer("fitted", torch.tensor(False))
        if num_classes is not None and num_features is not None:
            self.complete(num_classes, num_features)

    def complete(self, num_classes: int, num_features: int) -> None:
        """Build the head, now that classes and features are known.

        Raises:
            ValueError: Other sizes were given.
        """
        self.num_classes = agreed(self, "num_classes", self.num_classes, num_classes)
        features = agreed(self, "num_features", self.num_features, num_features)
        size = num_inputs(self.inputs, self.num_classes, features)
        self.head = DecisionHead(size, self.hidden, self.num_classes, self.steps)
        self.mean = self.mean.new_zeros(self.num_classes)

    def fit(self, examples: Examples, seed: int = 0) -> None:
        """Train the head; unknown labels do not count.

        Raises:
            ValueError: There are no images, or scores, features, targets and what the head was
                built for do not match.
        """
        check_examples(self, examples, len(self.mean))
        scores, features, targets = examples
        self.mean.copy_(scores.mean(0))
        above = scores - self.mean

        def cost(outputs: Tensor, rows: Tensor) -> Tensor:
            wanted, known = targets[rows].clamp(min=0), (targets[rows] >= 0).float()
            margin = above[rows] - outputs
            total = F.binary_cross_entropy_with_logits(margin, wanted, known, reduction="sum")
            return total / known.sum().clamp(min=1)

        self.head.learn(select(self.inputs, scores, features), cost, seed)
        self.fitted.fill_(True)

    def forward(
        self, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
    ) -> Bool[Tensor, "n c"]:
        """Where scores are above the image's threshold for the class.

        Raises:
            RuntimeError: It was not fitted.
        """
        return scores > self.thresholds(scores, features)

    def thresholds(
        self, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n c"]:
        """θ, one for each class of each image.

        Raises:
            RuntimeError: It was not fitted.
        """
        check_fitted(self)
        outputs: Tensor = self.mean + self.head(select(self.inputs, scores, features))
        return outputs
