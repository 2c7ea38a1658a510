"""Label decision: which of an image's ranked labels to say. What every rule has in common."""

from typing import Protocol, cast, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor, nn


@runtime_checkable
class DecisionRule(Protocol):
    """A rule from the scores and features of images to their sets of labels.

    It is fitted when the ranking has been learnt and stays as it is, on scores and features that do
    not change any more. All that it learns are buffers and parameters of fixed shape, `fitted`
    among them, so that a checkpoint holds it. Its parameters never ask for gradients outside of
    `fit`, and it draws nothing from the global random numbers, so that a model learns the same
    with and without it.

    Attributes:
        fitted (Tensor): Whether it may be used.
        fit_on (str): On which split. Thresholds are few numbers and depend on how high scores are,
            which on images that the ranking was trained on is too good: "val". Heads have many
            parameters, and need the larger split: "train".
    """

    def fit(
        self,
        scores: Float[Tensor, "n c"],
        features: Float[Tensor, "n d"],
        targets: Float[Tensor, "n c"],
        seed: int = 0,
    ) -> None:
        """Learn from images with their labels: 1 applies, 0 does not, −1 is unknown."""

    def __call__(
        self, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
    ) -> Bool[Tensor, "n c"]:
        """True where the rule says the label."""


def check_fitted(rule: nn.Module) -> None:
    """Refuse to use a rule that was not fitted.

    Raises:
        RuntimeError: It was not.
    """
    if not cast(Tensor, rule.fitted):
        raise RuntimeError(
            f"{type(rule).__name__} decides before it was fitted: fit it on cached features, as "
            "callbacks.LabelDecision does when training ends"
        )


def check_examples(
    rule: nn.Module,
    scores: Float[Tensor, "..."],
    features: Float[Tensor, "..."],
    targets: Float[Tensor, "..."],
) -> None:
    """Refuse to fit on what are not the labels of these images.

    Raises:
        ValueError: There are no images, or scores, features and targets do not belong together.
    """
    if scores.shape != targets.shape or len(features) != len(scores) or len(scores) == 0:
        raise ValueError(
            f"{type(rule).__name__} needs images, a score and a target for each of their labels; "
            f"got scores {list(scores.shape)}, targets {list(targets.shape)} and features "
            f"{list(features.shape)}"
        )
