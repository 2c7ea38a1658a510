"""Label decision: which of an image's ranked labels to say. What every rule has in common."""

from typing import Literal, NamedTuple, Protocol, cast, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor, nn

FitOn = Literal["train", "val"]
"""The split that a rule learns from."""


class Examples(NamedTuple):
    """What a rule is fitted on: one row an image.

    Args:
        scores: Of every label.
        features: Of the encoder.
        targets: 1 where the label applies, 0 where it does not, −1 where that is unknown.
    """

    scores: Float[Tensor, "n c"]
    features: Float[Tensor, "n d"]
    targets: Float[Tensor, "n c"]


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

    def fit(self, examples: Examples, seed: int = 0) -> None:
        """Learn from images with their labels."""

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


def agreed(rule: nn.Module, what: str, given: int | None, found: int) -> int:
    """A size that a rule may have been given, and that a run knows.

    Raises:
        ValueError: They are not the same.
    """
    if given not in (None, found):
        raise ValueError(
            f"{type(rule).__name__} was given {what} {given}, and the run has {found}: leave "
            f"{what} out, and it is taken from there"
        )
    return found


def check_examples(rule: nn.Module, examples: Examples, num_classes: int | None = None) -> None:
    """Refuse to fit on what are not the labels of these images.

    Raises:
        ValueError: There are no images, scores, features and targets do not belong together, or
            they are of another number of classes than the rule was built for.
    """
    scores, features, targets = examples
    name = type(rule).__name__
    if scores.shape != targets.shape or len(features) != len(scores) or len(scores) == 0:
        raise ValueError(
            f"{name} needs images, a score and a target for each of their labels; got scores "
            f"{list(scores.shape)}, targets {list(targets.shape)} and features "
            f"{list(features.shape)}"
        )
    if num_classes not in (None, scores.shape[1]):
        raise ValueError(
            f"{name} was built for {num_classes} classes; the scores have {scores.shape[1]}"
        )
