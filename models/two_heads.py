"""One trunk, two heads: a classifier and an embedding."""

from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ranklight.kernels.checks import check_counts
from ranklight.models.encoder import unit_vectors
from ranklight.models.inputs import Pictures, inputs_of


class TwoHeadOutput(NamedTuple):
    """What one pass through the trunk gives."""

    logits: Float[Tensor, "n classes"]
    embeddings: Float[Tensor, "n d"]
    pooled: Float[Tensor, "n c"]


class TwoHeads(nn.Module):
    """A classifier and an embedding on the last feature map h of one trunk.

        logits     = W_c · mean over places of h + b_c
        embedding  = v / ‖v‖,  v = W_e · h, flattened, + b_e

    Taha, Chen, Misu, Shrivastava, Davis: Boosting Standard Classification Architectures Through a
    Ranking Regularizer, WACV 2020, arXiv 1901.08616. The embedding keeps where a feature was seen,
    the classifier does not; there is no nonlinearity after the linear layer. 256 dimensions, as in
    the paper.

    Args:
        trunk: Images to feature maps, with an attribute `channels`.
        num_classes: Classes of the classifier; None: those of the data, when a run begins.
        image_shape: Channels, height and width of the images; the embedding head is as large as
            the feature map they give. None: those of the data, when a run begins.
        embedding_dim: Size of the embedding.
    """

    def __init__(
        self,
        trunk: nn.Module,
        num_classes: int | None = None,
        image_shape: tuple[int, int, int] | None = None,
        embedding_dim: int = 256,
    ) -> None:
        super().__init__()
        check_counts(embedding_dim=embedding_dim)
        if num_classes is not None:
            check_counts(num_classes=num_classes)
        self.inputs = inputs_of(trunk)
        self.trunk = trunk
        self.num_classes = num_classes
        self.image_shape = image_shape
        self.embedding_dim = embedding_dim
        self.register_module("class_head", None)
        self.register_module("embedding_head", None)
        if num_classes is not None and image_shape is not None:
            self.complete(num_classes, image_shape)

    def complete(self, num_classes: int, image_shape: tuple[int, int, int]) -> None:
        """Draw the heads, now that classes and images are known."""
        self.num_classes = num_classes
        self.image_shape = image_shape
        self.class_head = nn.Linear(cast(int, self.trunk.channels), num_classes)
        self.embedding_head = nn.Linear(_flat_size(self.trunk, image_shape), self.embedding_dim)

    def forward(self, images: Pictures) -> TwoHeadOutput:
        """Both heads on one pass.

        Raises:
            RuntimeError: A number was left out, and nobody called `complete`.
        """
        if self.num_classes is None or self.image_shape is None:
            raise RuntimeError(
                "TwoHeads needs num_classes and image_shape, or a call of complete()"
            )
        maps = self.trunk(self.inputs(images))
        pooled = maps.mean((2, 3))
        embeddings = unit_vectors(self.embedding_head(maps.flatten(1)))
        return TwoHeadOutput(self.class_head(pooled), embeddings, pooled)


@torch.no_grad()
def _flat_size(trunk: nn.Module, image_shape: tuple[int, int, int]) -> int:
    training = trunk.training
    size = trunk.eval()(torch.zeros(1, *image_shape)).flatten(1).shape[1]
    trunk.train(training)
    return cast(int, size)
