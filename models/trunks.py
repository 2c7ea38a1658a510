"""Networks cut before their pooling: images in, feature maps out."""

from collections.abc import Callable
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What torchvision's networks were trained with, but for a few."""

_POOLING = ("avgpool", "adaptive_avg_pool2d", "mean", "classifier")


class TorchvisionTrunk(nn.Module):
    """Any of torchvision's classification networks, by name, up to its last feature map.

    Args:
        name: As in `torchvision.models.list_models()`, for example "resnet50".
        weights: None for random weights, torchvision's name of pretrained ones ("DEFAULT",
            "IMAGENET1K_V2"), or the path of a file with a state dict of the whole network.

    Attributes:
        channels: Of the feature map.
        mean: Of each channel of the pictures, by which torchvision trained this network.
        std: Likewise.

    Raises:
        ValueError: No such network, or it has no feature map to cut at.
        FileNotFoundError: The weights cannot be fetched; the message names the file to bring.
    """

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __init__(self, name: str, weights: str | None = None) -> None:
        super().__init__()
        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            raise ValueError(
                f"torchvision has no trunk {name!r}; "
                f"near it: {', '.join(get_close_matches(name, known, n=4, cutoff=0))}"
            )
        network = _load(torchvision.models.get_model, name, weights)
        self.mean, self.std = _torchvisions_normalisation(name, weights)
        self.body = create_feature_extractor(network, {_node_before_pooling(name, network): "map"})
        self.channels = _channels(self)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c i j"]:
        """The last feature map."""
        return cast(Tensor, self.body(images)["map"])


class TimmTrunk(nn.Module):
    """Any of timm's networks, by name, up to its last feature map.

    Tokens of a transformer are laid out as a map of one column; class tokens are left out.

    Args:
        name: As in `timm.list_models()`.
        weights: None for random weights, "DEFAULT" for timm's pretrained ones, or a file's path.

    Attributes:
        channels: Of the feature map.
        mean: Of each channel of the pictures, by which the weights of this name were trained.
        std: Likewise.
    """

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __init__(self, name: str, weights: str | None = None) -> None:
        super().__init__()
        # Here, since importing it takes a second and other trunks do without.
        import timm
        from timm.data.config import resolve_model_data_config

        def build(name: str, weights: str | None) -> nn.Module:
            pretrained = weights is not None
            network: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0)
            return network

        self.body = _load(build, name, weights)
        trained = resolve_model_data_config(self.body)  # type: ignore[no-untyped-call]
        self.mean, self.std = trained["mean"], trained["std"]
        self.channels = _channels(self)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c i j"]:
        """The last feature map."""
        features: Tensor = cast(Any, self.body).forward_features(images)
        if features.ndim == 3:
            patches = features[:, getattr(self.body, "num_prefix_tokens", 0) :]
            return patches.transpose(1, 2).unsqueeze(3)
        if getattr(self.body, "output_fmt", "NCHW") == "NHWC":
            return features.permute(0, 3, 1, 2)
        return features


class SmallConvNet(nn.Module):
    """Four 3×3 convolutions for images of about 32 pixels.

    Groups are normalised, not batches: what it learns of an image does not depend on the images
    beside it, nor on how many processes share the batch.

    Args:
        in_channels: 1 for grey images, 3 for colour.
        width: Channels of the first convolution; the last has four times as many.
        coordinates: Show the net where each pixel is, as two more channels from −1 to 1 (CoordConv,
            Liu et al., NeurIPS 2018, arXiv 1807.03247): for labels that depend on the place, which
            a global pooling would lose.
    """

    def __init__(self, in_channels: int = 1, width: int = 32, coordinates: bool = False) -> None:
        super().__init__()
        self.coordinates = coordinates
        shown = in_channels + 2 if coordinates else in_channels
        widths = [shown, width, 2 * width, 4 * width, 4 * width]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, 3, padding=1, bias=False),
                    nn.GroupNorm(8, after),
                    nn.ReLU(),
                    nn.MaxPool2d(2) if depth < 3 else nn.Identity(),
                )
                for depth, (before, after) in enumerate(pairwise(widths))
            )
        )
        self.channels = widths[-1]

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The last feature map, an eighth of the image's side."""
        if self.coordinates:
            images = torch.cat([images, _coordinates(images)], dim=1)
        return cast(Tensor, self.layers(images))


def _coordinates(images: Tensor) -> Tensor:
    count, _, height, width = images.shape
    down, across = (
        torch.linspace(-1, 1, side, device=images.device, dtype=images.dtype)
        for side in (height, width)
    )
    return torch.stack(torch.meshgrid(across, down, indexing="xy")).expand(count, 2, height, width)


def _load(build: Callable[..., nn.Module], name: str, weights: str | None) -> nn.Module:
    if weights is not None and Path(weights).suffix:
        if not Path(weights).is_file():
            raise FileNotFoundError(f"weights of {name}: there is no file {weights}")
        network = build(name, weights=None)
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        return network
    try:
        return build(name, weights=weights)
    except (URLError, OSError) as error:
        raise FileNotFoundError(
            f"weights {weights!r} of {name} could not be fetched ({error}). Bring "
            f"{_weights_file(name, weights)} to this machine and pass its path as `weights`, or "
            f"put it into {torch.hub.get_dir()}/checkpoints"
        ) from error


def _torchvisions_normalisation(
    name: str, weights: str | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    known = torchvision.models.get_model_weights(name).__members__
    trained = known.get(weights or "DEFAULT") or known["DEFAULT"]
    transform = trained.transforms()
    return tuple(transform.mean), tuple(transform.std)


def _weights_file(name: str, weights: str | None) -> str:
    if name in torchvision.models.list_models():
        url = torchvision.models.get_model_weights(name)[weights].url
        return f"{Path(url).name} (from {url})"
    return f"the state dict of timm's {name}"


def _node_before_pooling(name: str, network: nn.Module) -> str:
    nodes = get_graph_node_names(network)[1]
    for before, node in pairwise(nodes):
        if node.split(".")[0] in _POOLING:
            return cast(str, before)
    raise ValueError(
        f"torchvision's {name} has no feature map before a global pooling; take a convolutional "
        "network or Swin here, or a transformer from timm by models.TimmTrunk"
    )


@torch.no_grad()
def _channels(trunk: nn.Module) -> int:
    training = trunk.training
    features = trunk.eval()(torch.zeros(1, 3, 224, 224))
    trunk.train(training)
    return cast(int, features.shape[1])
