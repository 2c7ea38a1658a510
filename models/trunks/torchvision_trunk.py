"""Torchvision's networks up to their last feature map."""

from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from ranklight.models.trunks.freezing import Freeze, freeze_parts, rest
from ranklight.models.trunks.picture_size import check_picture_size, shape_of_output
from ranklight.models.trunks.published import check_name, check_weights, fetch, is_file
from ranklight.models.weights import load_weights, read_weights

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What torchvision's networks were trained with, but for a few."""

_ITS_OWN_INPUTS = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

_POOLING = ("avgpool", "adaptive_avg_pool2d", "mean", "classifier")
_BUILT_FOR = (3, 224, 224)


class TorchvisionTrunk(nn.Module):
    """Any of torchvision's classification networks, by name, up to its last feature map.

    Args:
        name: As in `torchvision.models.list_models()`, for example "resnet50".
        weights: None for random weights, torchvision's name of pretrained ones ("DEFAULT",
            "IMAGENET1K_V2"), or the path of a file: a state dict of the whole network with or
            without its classifier, a .safetensors, or the checkpoint of a run of this package.
        freeze: How many of its first parts do not learn, or "whole"; their batch norm keeps its
            running statistics. The parts are those that the network lists: a ResNet has six,
            conv1, bn1 and layer1 to layer4.

    Attributes:
        channels: Of the feature map.
        mean: Of each channel of the pictures, by which torchvision trained this network.
        std: Likewise.
        pretrained: Whether it was given weights.

    Raises:
        ValueError: No such network or weights, weights of another one, or it has no feature map
            to cut at.
        FileNotFoundError: The weights cannot be fetched; the message names the file to bring.

    Example:
        >>> trunk = TorchvisionTrunk("resnet18", freeze=3)
        >>> trunk.body.get_parameter("layer1.0.conv1.weight").requires_grad, trunk.channels
        (False, 512)
    """

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pretrained: bool

    def __init__(self, name: str, weights: str | None = None, freeze: Freeze = 0) -> None:
        super().__init__()
        self.name = name
        self.pretrained = weights is not None
        published = torchvision.models.get_model_weights
        check_name("torchvision", name, torchvision.models.list_models(module=torchvision.models))
        check_weights(name, weights, list(published(name).__members__))
        network = _build(name, weights)
        self.mean, self.std = _normalisation(name, weights, network)
        self.body = create_feature_extractor(network, {_node_before_pooling(name, network): "map"})
        if weights is not None and is_file(weights):
            read = read_weights(weights, name)
            classifier = (network.state_dict().keys() & read.keys()) - self.body.state_dict().keys()
            load_weights(self.body, read, classifier, f"weights {weights} of {name}")
        self.channels = shape_of_output(self, _BUILT_FOR)[1]
        freeze_parts(self.body, name, freeze, _parts)
        self.train(self.training)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c i j"]:
        """The last feature map."""
        return cast(Tensor, self.body(images)["map"])

    def complete(self, image_shape: tuple[int, int, int]) -> None:
        """Refuse pictures that the network cannot take, now that their size is known.

        Raises:
            ValueError: It cannot; names the nearest sides that it can.
        """
        check_picture_size(self, self.name, image_shape)

    def train(self, mode: bool = True) -> "TorchvisionTrunk":
        """Training mode, but for what is frozen."""
        super().train(mode)
        rest(self)
        return self


def _build(name: str, weights: str | None) -> nn.Module:
    fetched = None if is_file(weights) else weights
    file = ""
    if fetched is not None:
        url = torchvision.models.get_model_weights(name)[fetched].url
        file = f"{Path(url).name} (from {url})"

    def build() -> nn.Module:
        network: nn.Module = torchvision.models.get_model(name, weights=fetched)
        return network

    return fetch(build, name, weights, file)


def _normalisation(
    name: str, weights: str | None, network: Any
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of what the first convolution takes.

    Inception and GoogLeNet turn ImageNet's into theirs themselves, but only where torchvision
    fetched their weights: here they never do, so that a network is one function of its weights.
    """
    if hasattr(network, "transform_input"):
        network.transform_input = False
        return _ITS_OWN_INPUTS
    known = torchvision.models.get_model_weights(name).__members__
    trained = known.get(weights or "DEFAULT") or known["DEFAULT"]
    transform = trained.transforms()
    return tuple(transform.mean), tuple(transform.std)


def _node_before_pooling(name: str, network: nn.Module) -> str:
    nodes = get_graph_node_names(network)[1]
    for before, node in pairwise(nodes):
        if node.split(".")[0] in _POOLING:
            return cast(str, before)
    raise ValueError(
        f"torchvision's {name} has no feature map before a global pooling; take a convolutional "
        "network or Swin here, or a transformer from timm by models.TimmTrunk"
    )


def _parts(body: nn.Module) -> list[list[nn.Parameter]]:
    parts = [child for child in body.children() if any(True for _ in child.parameters())]
    if len(parts) == 1:
        return _parts(parts[0])
    return [list(part.parameters()) for part in parts]
