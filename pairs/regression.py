"""Labels that are predicted from embeddings: the baseline of losses for continuous labels."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.pairs.checks import check_batch, check_real_labels
from ranklight.pairs.objective import ObjectiveOutput


class Regression(nn.Module):
    """An encoder is trained so that a linear map of its embeddings is the labels.

        S = W z + b,  R = the labels,  loss(S, R, all of them)

    As a classifier's logits are its S, one column a class, so are the predictions here, one column
    a number of the label. With `AbsoluteErrorLoss` the L1 regression that papers on continuous
    labels compare with, or add their regulariser to (`WeightedSum`).

    Args:
        loss: From `losses`, of (similarity, relevance, selection).
        label_dim: Numbers of a label. None: what they are, when a run begins.
        embedding_dim: Size of the encoder's output. None: what it is, when a run begins.

    Raises:
        TypeError: Labels are in half precision.
        ValueError: A label has another number of numbers, or one is not finite.
        RuntimeError: A number was left out, and nobody called `complete`.

    Example:
        >>> from ranklight.losses import AbsoluteErrorLoss
        >>> regression = Regression(AbsoluteErrorLoss(), label_dim=1, embedding_dim=2)
        >>> _ = regression.head.weight.data.fill_(1.0), regression.head.bias.data.zero_()
        >>> regression(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([1.0, 3.0])).item()
        1.0
    """

    head: nn.Linear | None

    def __init__(
        self, loss: nn.Module, label_dim: int | None = None, embedding_dim: int | None = None
    ) -> None:
        super().__init__()
        sizes = {"label_dim": label_dim, "embedding_dim": embedding_dim}
        check_counts(**{name: size for name, size in sizes.items() if size is not None})
        self.loss = loss
        self.label_dim = label_dim
        self.embedding_dim = embedding_dim
        self.head = None
        if label_dim is not None and embedding_dim is not None:
            self.complete(label_dim, embedding_dim)

    def complete(self, label_dim: int, embedding_dim: int) -> None:
        """Build the map, now that the sizes are known; those of the constructor go before."""
        self.label_dim = label_dim if self.label_dim is None else self.label_dim
        self.embedding_dim = embedding_dim if self.embedding_dim is None else self.embedding_dim
        self.head = nn.Linear(self.embedding_dim, self.label_dim)

    def forward(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."],
        index: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, ""]:
        """The loss of a batch."""
        return self.evaluate(embeddings, labels, index).loss

    def evaluate(
        self,
        embeddings: Float[Tensor, "n d"],
        labels: Shaped[Tensor, "n ..."],
        index: Int[Tensor, " n"] | None = None,
    ) -> ObjectiveOutput:
        """The loss of a batch."""
        check_batch(embeddings, labels, index)
        if self.head is None:
            raise RuntimeError("Regression needs label_dim and embedding_dim, or complete()")
        self.check_labels(labels)
        if embeddings.shape[1] != self.head.in_features:
            raise ValueError(
                f"embeddings must have {self.head.in_features} dimensions; got "
                f"{embeddings.shape[1]}"
            )
        predicted = self.head(embeddings.to(self.head.weight.dtype))
        numbers = labels.reshape(len(labels), self.head.out_features).to(predicted.dtype)
        everything = torch.ones_like(numbers, dtype=torch.bool)
        return ObjectiveOutput(self.loss(predicted, numbers, everything))

    def check_labels(self, labels: Tensor) -> None:
        """Refuse labels that cannot be predicted; their values on the CPU alone."""
        check_real_labels(labels, "Regression")
        numbers = labels[0].numel() if labels.ndim and len(labels) else self.label_dim
        if labels.is_complex() or numbers != self.label_dim:
            raise ValueError(
                f"Regression needs labels of {self.label_dim} numbers each; got the shape "
                f"{list(labels.shape)} of {labels.dtype}"
            )
