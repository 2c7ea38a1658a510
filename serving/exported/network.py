"""What leaves a run: one network from pictures to all that the model says of them."""

import copy
from typing import cast

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ranklight.kernels.masked import at_least_float32
from ranklight.lightning_modules import MultiLabelClassification, TwoHeadClassification
from ranklight.models import Pictures, TwoHeads, unit_vectors


class EmbeddingNetwork(nn.Module):
    """An encoder alone.

    Args:
        encoder: Pictures to embeddings.
    """

    outputs = ("embeddings",)

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Pictures) -> dict[str, Float[Tensor, "n _"]]:
        """`embeddings`."""
        return {"embeddings": at_least_float32(self.encoder(images))}


class TwoHeadNetwork(nn.Module):
    """A classifier beside an embedding.

    Args:
        model: Trunk and heads.
        pooled: Whether the embedding is that of the classifier's features (L2-normalised).
    """

    outputs = ("embeddings", "scores")

    def __init__(self, model: TwoHeads, pooled: bool) -> None:
        super().__init__()
        self.model = model
        self.pooled = pooled

    def forward(self, images: Pictures) -> dict[str, Float[Tensor, "n _"]]:
        """`embeddings`, and the logits as `scores`."""
        output = self.model(images)
        embeddings = unit_vectors(output.pooled) if self.pooled else output.embeddings
        return {
            "embeddings": at_least_float32(embeddings),
            "scores": at_least_float32(output.logits),
        }


class LabelNetwork(nn.Module):
    """Scores of all labels, and which of them to say.

    Args:
        encoder: Pictures to features.
        head: Features to logits.
        rule: From scores and features to sets of labels; None decides nothing.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, rule: nn.Module | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.rule = None if rule is None else _always_fitted(rule)
        decided = () if rule is None else ("decided",)
        self.outputs = ("embeddings", "scores", *decided)

    def forward(self, images: Pictures) -> dict[str, Shaped[Tensor, "n _"]]:
        """The features as `embeddings`, the logits as `scores`, and `decided`."""
        features = self.encoder(images)
        scores = at_least_float32(self.head(features))
        said = {"embeddings": at_least_float32(features), "scores": scores}
        if self.rule is not None:
            said["decided"] = self.rule(scores, said["embeddings"])
        return said


ExportedNetwork = EmbeddingNetwork | TwoHeadNetwork | LabelNetwork


def network_of(module: nn.Module, decision: str | None = None) -> ExportedNetwork:
    """A copy of what a trained module needs to answer, on the CPU, in evaluation mode.

    Args:
        module: One of `ranklight.lightning_modules`.
        decision: The name of the decision rule to take along; None: the one that was fitted.

    Raises:
        ValueError: There is no such rule, it was not fitted, or there are several and none is
            named.
    """
    if not isinstance(module, MultiLabelClassification) and decision is not None:
        raise ValueError(
            f"--decision {decision} needs a model that ranks labels; this one is a "
            f"{type(module).__name__}: leave it out"
        )
    network: ExportedNetwork
    if isinstance(module, MultiLabelClassification):
        network = LabelNetwork(module.encoder, module.head, _rule(module, decision))
    elif isinstance(module, TwoHeadClassification):
        network = TwoHeadNetwork(module.model, module.retrieve_by == "pooled")
    else:
        network = EmbeddingNetwork(cast(nn.Module, module.encoder))
    return copy.deepcopy(network).cpu().eval().requires_grad_(False)


def in_half_precision(network: ExportedNetwork) -> ExportedNetwork:
    """The same with weights of half the size; what decides stays in float32, as in training."""
    smaller = copy.deepcopy(network)
    for name, part in smaller.named_children():
        if name != "rule":
            part.half()
    return smaller


def _rule(module: MultiLabelClassification, name: str | None) -> nn.Module | None:
    fitted = {key: rule for key, rule in module.decisions.items() if rule.fitted}
    if name is not None and name not in fitted:
        raise ValueError(
            f"there is no decision rule {name!r} that was fitted; there are: "
            f"{', '.join(fitted) or 'none (ranklight decide fits them)'}"
        )
    if name is None and len(fitted) > 1:
        raise ValueError(
            f"the model has {len(fitted)} decision rules, and an export says one set of labels: "
            f"choose by --decision {', '.join(fitted)}"
        )
    return fitted[name] if name is not None else next(iter(fitted.values()), None)


def _always_fitted(rule: nn.Module) -> nn.Module:
    """A copy that needs no look at its buffer `fitted`: a graph cannot ask what a tensor holds."""
    fixed = copy.deepcopy(rule)
    del fixed.fitted
    fixed.fitted = True  # type: ignore[assignment]
    return fixed
