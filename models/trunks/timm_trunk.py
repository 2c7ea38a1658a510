"""Timm's networks up to their last feature map or tokens."""

import sys
from contextlib import suppress
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ranklight.models.trunks.freezing import Freeze, freeze_parts, rest
from ranklight.models.trunks.picture_size import (
    REFUSALS,
    check_picture_size,
    shape_of_output,
    takes,
    without_influence,
)
from ranklight.models.trunks.published import check_name, check_weights, fetch, is_file
from ranklight.models.weights import load_weights, read_weights

# What makes position embeddings follow the pictures, where a network can: ViTs and EVA take the
# first key, Swin the second, and older Swins take any key and do nothing by the first.
_ANY_SIZE: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True, "strict_img_size": False},
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)


class TimmTrunk(nn.Module):
    """Any of timm's networks, by name, up to its last feature map.

    Tokens of a transformer are laid out as the map of patches that they are. Pictures may be of any
    size that the network can be made to take: position embeddings are resized to them (of a ViT
    any multiple of its patch), windows of a MaxViT with them.

    Args:
        name: As in `timm.list_models()`; with a tag, as in "vit_small_patch14_dinov2.lvd142m",
            for the pretrained weights of that tag and their normalisation.
        weights: None for random weights, "DEFAULT" for timm's pretrained ones, or a file's path: a
            state dict in the format of timm or of the network's authors, with or without its
            classifier, a .safetensors, or the checkpoint of a run of this package.
        tokens: What is given of the last layer. "patches": the map, or a transformer's tokens
            without class and register tokens, as a map. "class": its class token, a map of one
            place; what DINO and CLIP were trained to give. "both": at each place the class token,
            then the patch's, which average pooling turns into [class token, mean of patches]
            (DINOv2's linear evaluation, arXiv 2304.07193). "pooled": what the network itself gives
            to its classifier, norms included; of SigLIP its attention pooling, of ConvNeXt the mean
            and then its norm.
        freeze: How many of its first parts do not learn, or "whole"; their batch norm keeps its
            running statistics. Parts are timm's coarse groups: first the stem (patch and position
            embeddings, class token), then each stage, or each block of a ViT.
        checkpointing: Keep fewer activations and compute them again in the backward pass: about a
            third slower, for larger batches in the same memory.

    Attributes:
        channels: Of what is given.
        mean: Of each channel of the pictures, by which the weights of this name were trained.
        std: Likewise.
        pretrained: Whether it was given weights.
        input_shape: Channels, height and width of the pictures of that training.

    Raises:
        ValueError: No such network or weights, weights of another one, no class token, or no
            checkpointing in this network.
        FileNotFoundError: The weights cannot be fetched, or there is no such file.

    Example:
        >>> trunk = TimmTrunk("test_vit", tokens="both")
        >>> trunk(torch.zeros(2, 3, 48, 64)).shape
        torch.Size([2, 128, 3, 4])
    """

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pretrained: bool
    input_shape: tuple[int, int, int]

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        tokens: Literal["class", "patches", "both", "pooled"] = "patches",
        freeze: Freeze = 0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        # Here, since importing it takes a second and other trunks do without.
        import timm
        from timm.data.config import resolve_model_data_config

        self.name, self.tokens = name, tokens
        self.pretrained = weights is not None
        if ":" not in name:  # hf-hub:user/model
            check_name("timm", name.partition(".")[0], timm.list_models())
        check_weights(name, weights, ["DEFAULT"])
        self.body = _build(name, weights)
        if weights is not None and is_file(weights):
            _load(self.body, weights, name)
        trained = resolve_model_data_config(self.body)  # type: ignore[no-untyped-call]
        self.mean, self.std = trained["mean"], trained["std"]
        if tokens in ("class", "both") and getattr(self.body, "cls_token", None) is None:
            raise ValueError(f"{name} has no class token: give tokens patches or pooled")
        self.input_shape = trained["input_size"]
        self.channels = shape_of_output(self, self.input_shape)[1]
        # Gradients of ranks are summed for all that learns: what has none must not.
        for parameter in without_influence(self, self.input_shape):
            self.get_parameter(parameter).requires_grad_(False)
        freeze_parts(self.body, name, freeze, _parts)
        if checkpointing:
            _checkpoint(self.body, name)
        self.train(self.training)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c i j"]:
        """The last feature map."""
        body = cast(Any, self.body)
        features: Tensor = body.forward_features(images)
        if self.tokens == "pooled":
            vectors: Tensor = body.forward_head(features, pre_logits=True)
            return vectors[:, :, None, None]
        if features.ndim == 4:
            channels_last = getattr(body, "output_fmt", "NCHW") == "NHWC"
            return features.permute(0, 3, 1, 2) if channels_last else features
        return self._map_of_tokens(features, images.shape[-2:])

    def _map_of_tokens(
        self, features: Float[Tensor, "n t d"], size: torch.Size
    ) -> Float[Tensor, "n c i j"]:
        # Where the network pools first and normalises then, each token is normalised alone.
        features = cast(Any, getattr(self.body, "fc_norm", nn.Identity()))(features)
        first = features[:, 0, :, None, None]
        if self.tokens == "class":
            return first
        patches = features[:, cast(int, getattr(self.body, "num_prefix_tokens", 0)) :]
        grid = _grid(patches.shape[1], *size)
        maps = patches.transpose(1, 2).reshape(*patches.shape[::2], *grid)
        if self.tokens == "patches":
            return maps
        return torch.cat([first.expand(-1, -1, *maps.shape[2:]), maps], 1)

    def complete(self, image_shape: tuple[int, int, int]) -> None:
        """Fit the network to the size of the pictures, now that it is known.

        Raises:
            ValueError: It cannot take them; names the nearest sides that it can.
        """
        body = cast(Any, self.body)
        if hasattr(body, "set_input_size") and not takes(self, image_shape):
            resting = [name for name, each in self.named_parameters() if not each.requires_grad]
            with suppress(*REFUSALS):  # The check says why.
                body.set_input_size(img_size=image_shape[1:])
            for name in resting:
                self.get_parameter(name).requires_grad_(False)
        check_picture_size(self, self.name, image_shape)

    def train(self, mode: bool = True) -> "TimmTrunk":
        """Training mode, but for what is frozen."""
        super().train(mode)
        rest(self)
        return self


def _build(name: str, weights: str | None) -> nn.Module:
    import timm

    def build() -> nn.Module:
        pretrained = weights is not None and not is_file(weights)
        for options in _ANY_SIZE:
            try:
                network: nn.Module = timm.create_model(
                    name, pretrained=pretrained, num_classes=0, **options
                )
            except TypeError:
                if not options:
                    raise
            else:
                return network
        raise AssertionError("the last options are none")

    return fetch(build, name, weights, f"the state dict of timm's {name}")


def _load(body: nn.Module, file: str, name: str) -> None:
    read = read_weights(file, name)
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        read = convert(read, body)
    classifiers = cast(Any, body).pretrained_cfg.get("classifier") or ()
    classifiers = (classifiers,) if isinstance(classifiers, str) else classifiers
    heads = tuple(f"{classifier}." for classifier in classifiers)
    left_out = {name for name in read.keys() - body.state_dict().keys() if name.startswith(heads)}
    load_weights(body, read, left_out, f"weights {file} of {name}")


def _parts(body: nn.Module) -> list[list[nn.Parameter]]:
    from timm.models import group_parameters

    if not hasattr(body, "group_matcher"):
        return [list(body.parameters())]
    groups = group_parameters(body, cast(Any, body).group_matcher(coarse=True))
    return [[body.get_parameter(name) for name in groups[part]] for part in sorted(groups)]


def _checkpoint(body: nn.Module, name: str) -> None:
    try:
        cast(Any, body).set_grad_checkpointing(True)
    except (AssertionError, AttributeError) as error:
        raise ValueError(f"timm's {name} has no gradient checkpointing: leave it out") from error


def _grid(patches: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of square patches; one column where they are no such grid."""
    rows, columns = (round((patches * ratio) ** 0.5) for ratio in (height / width, width / height))
    return (rows, columns) if rows * columns == patches else (patches, 1)
