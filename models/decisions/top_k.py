"""The same number of labels for every image."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.models.decisions.rule import Examples, FitOn


class TopK(nn.Module):
    """The k labels that score highest, whatever the image: the baseline of label decision.

    Nothing is learnt; it counts as fitted. At equal scores the class of smaller index comes first.

    Args:
        k: How many labels an image gets.

    Raises:
        ValueError: k is under 1.
    """

    fitted: Tensor
    fit_on: FitOn = "val"

    def __init__(self, k: int = 3) -> None:
        super().__init__()
        check_counts(k=k)
        self.k = k
        self.register_buffer("fitted", torch.tensor(True))

    def fit(self, examples: Examples, seed: int = 0) -> None:
        """Nothing to learn.

        Raises:
            ValueError: k is more than there are classes.
        """
        self._check(examples.scores)

    def forward(
        self, scores: Float[Tensor, "n c"], features: Float[Tensor, "n d"]
    ) -> Bool[Tensor, "n c"]:
        """The k highest of each row.

        Raises:
            ValueError: k is more than there are classes.
        """
        self._check(scores)
        return top_labels(scores, torch.full_like(scores[:, 0], self.k, dtype=torch.int64))

    def _check(self, scores: Tensor) -> None:
        if self.k > scores.shape[1]:
            raise ValueError(f"TopK is to say {self.k} labels of only {scores.shape[1]} classes")


def top_labels(scores: Float[Tensor, "n c"], counts: Int[Tensor, "n"]) -> Bool[Tensor, "n c"]:
    """The labels that score highest, as many as is said for each image."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(scores.shape[1], device=scores.device)
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, order, places < counts[:, None])
