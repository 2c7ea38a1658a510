"""A sum of objectives."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ranklight.pairs.objective import ObjectiveOutput, check_objective


class WeightedSum(nn.Module):
    """Σ w_k L_k of objectives on the same embeddings, each with references and a miner of its own.

    A regulariser beside a loss is such a sum: `ThresholdConsistentMarginLoss` beside any other,
    ROADMAP (half `SupAPLoss`, half `ContrastiveLoss(0.9, 0.6)`), RankSim (`Regression` and 100
    times `RankSimLoss`). Each term is logged by its name, as `train/<name>/loss`, before it is
    weighted.

    Args:
        objectives: `Objective`, `Matryoshka`, `Regression` or another sum, by name.
        weights: w_k by the same names; 1 for a name that is left out.

    Raises:
        ValueError: There are no objectives, one is something else, or a weight is of none of them.

    Example:
        >>> from ranklight.losses import ContrastiveLoss, ThresholdConsistentMarginLoss
        >>> from ranklight.pairs import Objective
        >>> both = WeightedSum(
        ...     {"pairs": Objective(ContrastiveLoss()),
        ...      "threshold": Objective(ThresholdConsistentMarginLoss(positive_margin=0.75))},
        ...     {"threshold": 2.0},
        ... )
        >>> both(torch.eye(2), torch.tensor([0, 0])).item()  # 1 − 0, and twice 0.75 − 0
        2.5
    """

    def __init__(
        self, objectives: dict[str, nn.Module], weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        weights = weights or {}
        if not objectives:
            raise ValueError("a sum needs one objective or more, got none")
        for name, objective in objectives.items():
            check_objective(objective, f"{name} of a sum")
        if unknown := sorted(weights.keys() - objectives.keys()):
            raise ValueError(
                f"weights are of the objectives {', '.join(objectives)}; got one of {unknown[0]}"
            )
        self.objectives = nn.ModuleDict(objectives)
        self.weights = {name: weights.get(name, 1.0) for name in objectives}

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None = None,
        index: Int[Tensor, " n"] | None = None,
        **given: Tensor | None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch; what is given is given to each objective."""
        return self.evaluate(embeddings, labels, index, **given).loss

    def evaluate(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."] | None = None,
        index: Int[Tensor, " n"] | None = None,
        **given: Tensor | None,
    ) -> ObjectiveOutput:
        """The loss of a batch, and its terms."""
        terms = {
            name: cast(Any, objective).evaluate(embeddings, labels, index, **given)
            for name, objective in self.objectives.items()
        }
        weighted = [self.weights[name] * term.loss for name, term in terms.items()]
        return ObjectiveOutput(torch.stack(weighted).sum(), terms=terms)

    def check_labels(self, labels: Tensor) -> None:
        """Refuse labels that an objective does not take, before they leave the CPU."""
        for objective in self.objectives.values():
            cast(Any, objective).check_labels(labels)
