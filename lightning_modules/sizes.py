"""What a model takes from its data, so that nobody writes it twice: classes and picture sizes.

Modules ask for it in `setup`, when the data module has been set up and no optimizer exists yet.
"""

from typing import Any

import torch
from jaxtyping import Int
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn

from ranklight.models import SmallConvNet, TimmTrunk, TorchvisionTrunk
from ranklight.pairs import ClassCenters, Regression

Data = LightningDataModule | None


def num_classes_of(data: Data) -> int:
    """How many classes there are: by their names, the columns of the labels, or the highest label.

    Raises:
        ValueError: There is no data module, or its labels are no classes.
    """
    names = getattr(data, "class_names", None)
    if names:
        return len(names)
    labels = _labels(data, "num_classes")
    if labels.ndim == 2:
        return labels.shape[1]
    return int(labels.max()) + 1


def check_num_classes(given: int, data: Data) -> None:
    """Refuse labels of the data that have not so many columns, where it says its labels.

    Raises:
        ValueError: They have not.
    """
    labels = getattr(getattr(data, "train", None), "labels", None)
    if isinstance(labels, Tensor) and labels.ndim == 2 and labels.shape[1] != given:
        raise ValueError(
            f"num_classes is {given}, and the labels of the data have {labels.shape[1]} columns: "
            "leave num_classes out, and it is theirs"
        )


def training_classes_of(data: Data) -> Int[Tensor, " c"]:
    """The classes that training has, ascending: with held-out classes these are not all.

    Raises:
        ValueError: There is no data module, or its labels are no classes.
    """
    labels = _labels(data, "num_classes of ClassCenters")
    if labels.ndim != 1 or labels.is_floating_point():
        raise ValueError(
            "ClassCenters needs one class an image; the labels of training are "
            f"{list(labels.shape)} of {labels.dtype}"
        )
    classes: Tensor = torch.unique(labels)
    return classes


def picture_shape_of(data: Data) -> tuple[int, int, int]:
    """Channels, height and width of the pictures that the model is given, read off the first one.

    Raises:
        ValueError: There is no data module.
    """
    dataset = _train(data, "image_shape")
    channels, height, width = dataset.__getitems__([0]).images.shape[1:]
    return channels, height, width


def complete_objective(objective: nn.Module | None, data: Data, embedding_dim: int) -> None:
    """Give an objective's parts what they were not told: training's classes, sizes of labels."""
    for part in objective.modules() if objective is not None else ():
        if isinstance(part, ClassCenters) and part.centers is None:
            given = part.num_classes
            classes = training_classes_of(data) if given is None else torch.arange(given)
            part.complete(classes, embedding_dim)
        if isinstance(part, Regression) and part.head is None:
            labels = None if part.label_dim else _labels(data, "label_dim of Regression")
            part.complete(1 if labels is None else labels[0].numel(), embedding_dim)


def complete_trunks(module: nn.Module, data: Data) -> None:
    """Fit networks to the pictures of the data, or refuse pictures that they cannot take.

    Raises:
        ValueError: A network cannot take them.
    """
    kinds = (SmallConvNet, TimmTrunk, TorchvisionTrunk)
    trunks = [each for each in module.modules() if isinstance(each, kinds)]
    if trunks and hasattr(getattr(data, "train", None), "__getitems__"):
        shape = picture_shape_of(data)
        for trunk in trunks:
            trunk.complete(shape)


def _labels(data: Data, needed: str) -> Tensor:
    labels: Tensor | None = getattr(_train(data, needed), "labels", None)
    if labels is None:
        raise ValueError(f"{needed} must be given: the training split says no labels")
    return labels


def _train(data: Data, needed: str) -> Any:
    train = getattr(data, "train", None)
    if train is None:
        raise ValueError(f"{needed} must be given: there is no data module to take it from")
    return train
