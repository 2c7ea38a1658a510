"""A linear layer."""

from jaxtyping import Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_share


class LinearHead(nn.Module):
    """Logits as a linear layer of the features.

        S = W · dropout(features) + b

    Args:
        dropout: Share of features set to 0 in training, below 1; the paper of LSEP has 0.5.

    Raises:
        TypeError: The share is no number.
        ValueError: It is not 0 to below 1.

    Example:
        >>> import torch
        >>> head = LinearHead(dropout=0.5)
        >>> head.complete(num_classes=3, num_features=8)
        >>> head(torch.zeros(2, 8)).shape
        torch.Size([2, 3])
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        check_share(dropout=dropout)
        self.dropout = nn.Dropout(dropout)

    def complete(self, num_classes: int, num_features: int) -> None:
        """Draw the layer, now that classes and features are known."""
        self.linear = nn.Linear(num_features, num_classes)

    def forward(self, features: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """One logit a class."""
        logits: Tensor = self.linear(self.dropout(features))
        return logits
