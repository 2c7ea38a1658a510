"""Low-rank updates of a frozen trunk."""

from collections.abc import Sequence
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from ranklight.models.trunks.freezing import rest
from ranklight.models.trunks.picture_size import shape_of_output


class LoRA(nn.Module):
    """A trunk whose linear layers learn an update of low rank, and nothing else learns.

        W x  becomes  W x + (alpha / rank) · B A x

    B starts at 0, so that training starts at the trunk as it is. Hu et al.: LoRA: Low-Rank
    Adaptation of Large Language Models, ICLR 2022, arXiv 2106.09685, whose rank of 8 and alpha of
    16 are common; on all linear layers, as in QLoRA (arXiv 2305.14314), not on queries and values
    alone. By peft, which `pip install 'ranklight[lora]'` brings. What it adds is in the checkpoint
    with the trunk.

    Args:
        trunk: For example a `TimmTrunk` with pretrained weights.
        rank: Of the updates; larger learns more.
        alpha: The update's scale, over the rank.
        dropout: Of the update's input, in training.
        layers: The last parts of the names of the layers to update, such as [qkv]; None: all
            linear layers.

    Attributes:
        channels: The trunk's.
        mean: The trunk's.
        std: The trunk's.

    Raises:
        ValueError: peft is not installed, or no such layers in the trunk.
    """

    def __init__(
        self,
        trunk: nn.Module,
        rank: int = 8,
        alpha: int = 16,
        dropout: float = 0.0,
        layers: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        try:
            import peft
        except ImportError as error:
            raise ValueError("LoRA needs peft: pip install 'ranklight[lora]'") from error

        self.channels = cast(int, trunk.channels)
        self.tokens = getattr(trunk, "tokens", "patches")
        self.mean, self.std = getattr(trunk, "mean", (0.0,)), getattr(trunk, "std", (1.0,))
        wanted = peft.LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=_linear_layers(trunk, layers),
        )
        self.trunk = peft.inject_adapter_in_model(wanted, trunk)
        self.train(self.training)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The trunk's feature map."""
        maps: Tensor = self.trunk(images)
        return maps

    def train(self, mode: bool = True) -> "LoRA":
        """Training mode, but for what is frozen."""
        super().train(mode)
        rest(self)
        return self


def _linear_layers(trunk: nn.Module, layers: Sequence[str] | None) -> list[str]:
    """Names of the linear layers to update.

    Some networks read a layer's weight without calling the layer, where an update would do nothing.
    """
    linear = {name: each for name, each in trunk.named_modules() if isinstance(each, nn.Linear)}
    called = set()
    hooks = [
        each.register_forward_pre_hook(lambda _, __, name=name: called.add(name))
        for name, each in linear.items()
    ]
    shape_of_output(trunk, getattr(trunk, "input_shape", (3, 224, 224)))
    for hook in hooks:
        hook.remove()
    known = [name for name in linear if name in called]
    chosen = [name for name in known if layers is None or name.split(".")[-1] in layers]
    missing = set(layers or ()) - {name.split(".")[-1] for name in known}
    if missing or not chosen:
        ends = dict.fromkeys(name.split(".")[-1] for name in known)
        raise ValueError(
            f"LoRA updates linear layers that the trunk calls: {', '.join(ends) or 'it has none'}; "
            f"got {', '.join(sorted(missing)) or 'all'}"
        )
    return chosen
