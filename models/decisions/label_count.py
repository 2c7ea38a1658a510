"""As many labels as a head predicts."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_choice, check_counts
from ranklight.models.decisions.head import (
    DecisionHead,
    Inputs,
    check_learning,
    num_inputs,
    select,
)
from ranklight.models.decisions.rule import Examples, FitOn, agreed, check_examples, check_fitted
from ranklight.models.decisions.top_k import top_labels

Loss = Literal["cross_entropy", "poisson", "squared"]


class LabelCount(nn.Module):
    """The k_i labels that score highest, where a head predicts k_i from the image's features.

    The target is t_i = |P_i|, cut off to the range 1..n (0..n if zero is allowed).

        loss="cross_entropy":  −log softmax(z_i)_t,   k_i = argmax z_i: the paper's
        loss="poisson":        e^{z_i} − t_i z_i,     k_i = e^{z_i}, rounded
        loss="squared":        (z_i − t_i)²,          k_i = z_i, rounded

    k_i is cut off to the same range. Li, Song, Luo: Improving Pairwise Ranking for Multi-label
    Image Classification, CVPR 2017, arXiv 1704.03135, with n = 4 and hidden layers of 100 and 10.
    Poisson and squared are alternatives in the released code, where the latter ends in a ReLU; here
    the range is the only limit, for a ReLU at 0 does not learn. How it is trained differs, too: see
    `models.decisions.head.DecisionHead`.

    Args:
        num_classes: c; None: that of the data, when a run begins.
        num_features: Size of the encoder's features; None: what it is, when a run begins.
        max_count: n.
        allow_zero: Let an image have no label; without, one that has none counts as having one.
        loss: See above.
        hidden: Sizes of the hidden layers.
        inputs: What the head looks at.
        fit_on: Which split to learn from.
        steps: Batches to learn from.

    Raises:
        TypeError: A size or a number is not whole.
        ValueError: n is not in 1..c, a size is below 1, or a choice is none of those above.
    """

    fitted: Tensor

    def __init__(
        self,
        num_classes: int | None = None,
        num_features: int | None = None,
        max_count: int = 4,
        allow_zero: bool = False,
        loss: Loss = "cross_entropy",
        hidden: Sequence[int] = (100, 10),
        inputs: Inputs = "features",
        fit_on: FitOn = "train",
        steps: int = 1000,
    ) -> None:
        super().__init__()
        check_counts(max_count=max_count)
        check_learning(hidden, steps)
        check_choice(Loss, loss=loss)
        check_choice(Inputs, inputs=inputs)
        check_choice(FitOn, fit_on=fit_on)
        self.num_classes = num_classes
        self.num_features = num_features
        self.least = 0 if allow_zero else 1
        self.most = max_count
        self.loss = loss
        self.hidden = hidden
        self.inputs = inputs
        self.fit_on = fit_on
        self.steps = steps
        self.register_buffer("fitted", torch.tensor(False))
        if num_classes is not None and num_features is not None:
            self.complete(num_classes, num_features)

    def complete(self, num_classes: int, num_features: int) -> None:
        """Build the head, now that classes and features are known.

        Raises:
            ValueError: n is not in 1..c, or other sizes were given.
        """
        self.num_classes = agreed(self, "num_classes", self.num_classes, num_classes)
        features = agreed(self, "num_features", self.num_features, num_features)
        if not 1 <= self.most <= self.num_classes:
            raise ValueError(
                f"LabelCount is to predict up to {self.most} labels of {self.num_classes} classes; "
                f"max_count must be 1..{self.num_classes}"
            )
        outputs = self.most - self.least + 1 if self.loss == "cross_entropy" else 1
        size = num_inputs(self.inputs, self.num_classes, features)
        self.head = DecisionHead(size, self.hidden, outputs, self.steps)

    def fit(self, examples: Examples, seed: int = 0) -> None:
        """Train the head.

        Raises:
            ValueError: There are no images; scores, features, targets and what the head was built
                for do not match; or labels are unknown, so that nobody knows how many apply.
        """
        check_examples(self, examples, self.num_classes)
        scores, features, targets = examples
        partial = int((targets < 0).any(1).sum())
        if partial:
            raise ValueError(
                f"LabelCount needs to know how many labels an image has: {partial} of "
                f"{len(targets)} images have unknown ones"
            )
        counts = (targets > 0).sum(1).clamp(self.least, self.most)
        self.head.learn(
            select(self.inputs, scores, features),
            lambda outputs, rows: self._cost(outputs, counts[rows]),
            seed,
        )
        self.fitted.fill_(True)

    def forward(
        self, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
    ) -> Bool[Tensor, "n c"]:
        """The highest of each row, as many as predicted.

        Raises:
            RuntimeError: It was not fitted.
        """
        return top_labels(scores, self.counts(scores, features))

    def counts(
        self, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
    ) -> Int[Tensor, " n"]:
        """How many labels each image has, as predicted.

        Raises:
            RuntimeError: It was not fitted.
        """
        check_fitted(self)
        outputs: Tensor = self.head(select(self.inputs, scores, features))
        if self.loss == "cross_entropy":
            return self.least + outputs.argmax(1)
        counts = outputs.squeeze(1).exp() if self.loss == "poisson" else outputs.squeeze(1)
        return counts.clamp(self.least, self.most).round().long()

    def _cost(self, outputs: Tensor, counts: Tensor) -> Tensor:
        if self.loss == "cross_entropy":
            return F.cross_entropy(outputs, counts - self.least)
        output, target = outputs.squeeze(1), counts.float()
        poisson = self.loss == "poisson"
        cost = output.exp() - target * output if poisson else (output - target).square()
        return cost.mean()
