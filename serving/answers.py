"""What a module of each kind says of pictures: vectors, scores, decided labels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ranklight.kernels.masked import at_least_float32
from ranklight.lightning_modules import (
    MetricLearning,
    MultiLabelClassification,
    TwoHeadClassification,
)
from ranklight.models import Pictures, TwoHeads, unit_vectors


class Answers(NamedTuple):
    """What is said of n pictures.

    Args:
        embeddings: What images are compared by.
        scores: Of each class: logits of multi-label, probabilities of one class; None without
            classes.
        decided: Which labels are said, where there is a decision.
    """

    embeddings: Float[Tensor, "n d"]
    scores: Float[Tensor, "n c"] | None = None
    decided: Bool[Tensor, "n c"] | None = None


class Embeds:
    """Metric learning: vectors and nothing else.

    Attributes:
        encoder: From pictures to embeddings alone; as of the other two.
        decisions: Fitted rules by name; none without classes.
    """

    def __init__(self, module: MetricLearning) -> None:
        self.encoder = module.encoder
        self.decisions: Mapping[str, Any] = {}

    def __call__(self, pictures: Pictures, decision: str | None) -> Answers:
        """All in one pass."""
        return Answers(at_least_float32(self.encoder(pictures)))


class HeadEmbedding(nn.Module):
    """One of a two-head model's two embeddings, without its other head.

    Args:
        model: Trunk and heads.
        pooled: Whether it is the pooled features, L2-normalised, or the embedding head.
    """

    def __init__(self, model: TwoHeads, pooled: bool) -> None:
        super().__init__()
        self.inputs, self.trunk = model.inputs, model.trunk
        self.embedding_head = None if pooled else model.embedding_head

    def forward(self, images: Pictures) -> Float[Tensor, "n d"]:
        """Unit vectors."""
        maps = self.trunk(self.inputs(images))
        if self.embedding_head is None:
            return unit_vectors(maps.mean((2, 3)))
        return unit_vectors(self.embedding_head(maps.flatten(1)))


class EmbedsAndClassifies:
    """Two heads: a vector, the probability of each class, and the likeliest."""

    def __init__(self, module: TwoHeadClassification) -> None:
        self.model, self.pooled = module.model, module.retrieve_by == "pooled"
        self.encoder = HeadEmbedding(self.model, self.pooled)
        self.decisions: Mapping[str, Any] = {"likeliest": None}

    def __call__(self, pictures: Pictures, decision: str | None) -> Answers:
        """All in one pass."""
        output = self.model(pictures)
        scores = at_least_float32(output.logits).softmax(1)
        embeddings = unit_vectors(output.pooled) if self.pooled else output.embeddings
        likeliest = torch.zeros_like(scores, dtype=torch.bool)
        likeliest.scatter_(1, scores.argmax(1, keepdim=True), True)
        return Answers(embeddings, scores, None if decision is None else likeliest)


class Features(nn.Module):
    """The features that labels are scored of; of maps their mean.

    Args:
        encoder: Images to features.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Pictures) -> Float[Tensor, "n d"]:
        """One row an image."""
        features: Tensor = self.encoder(images)
        return at_least_float32(features.mean((2, 3)) if features.ndim == 4 else features)


class RanksLabels:
    """Multi-label: features, logits, and what each fitted rule decides."""

    def __init__(self, module: MultiLabelClassification) -> None:
        self.module = module
        self.encoder = Features(module.encoder)
        self.decisions: Mapping[str, Any] = {
            name: rule for name, rule in module.decisions.items() if bool(rule.fitted)
        }

    def __call__(self, pictures: Pictures, decision: str | None) -> Answers:
        """All in one pass."""
        scores, features = self.module.scores_and_features(pictures)
        rule = None if decision is None else self.decisions[decision]
        return Answers(features, scores, None if rule is None else rule(scores, features))


Answering = Embeds | EmbedsAndClassifies | RanksLabels
"""`answering(pictures, decision)`: all in one pass; no labels where no decision is named."""


def answering_of(module: nn.Module) -> Answering:
    """How a module answers.

    Raises:
        TypeError: It is of none of the kinds that are known here.
    """
    if isinstance(module, MetricLearning):
        return Embeds(module)
    if isinstance(module, TwoHeadClassification):
        return EmbedsAndClassifies(module)
    if isinstance(module, MultiLabelClassification):
        return RanksLabels(module)
    raise TypeError(
        "a model that is loaded must be a MetricLearning, a TwoHeadClassification or a "
        f"MultiLabelClassification; the run has {type(module).__name__}"
    )
