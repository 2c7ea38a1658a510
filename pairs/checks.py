"""What every part of an objective asks of the labels that it is given, beyond `kernels.checks`.

The lightning modules check labels while they are on the CPU still, so that a run on a GPU, where
values are not looked at, is told the same.
"""

import inspect

import torch
from torch import Tensor, nn

from ranklight.kernels.checks import check_tensors, check_vectors, check_within, is_integer
from ranklight.kernels.eager import eager_on_cpu


def check_batch(embeddings: Tensor, labels: Tensor, index: Tensor | None = None) -> None:
    """Refuse a batch that is not n embeddings, n labels and, where given, n indices.

    Raises:
        TypeError: Something is no tensor, embeddings are no floats, indices no integers.
        ValueError: There is not one label or index an embedding, or not all are on one device.
    """
    check_vectors(embeddings=embeddings)
    check_tensors(embeddings=embeddings, labels=labels)
    if labels.ndim == 0 or len(labels) != len(embeddings):
        given = len(labels) if labels.ndim else "one number without a dimension"
        raise ValueError(f"{len(embeddings)} embeddings need as many labels, got {given}")
    if index is None:
        return
    check_tensors(embeddings=embeddings, index=index)
    if not is_integer(index):
        raise TypeError(f"indices of images must be integers; got {index.dtype}")
    if index.shape != (len(embeddings),):
        raise ValueError(
            f"{len(embeddings)} embeddings need as many indices of images; got the shape "
            f"{list(index.shape)}"
        )


def check_real_labels(labels: Tensor, user: str) -> None:
    """Refuse real labels that were rounded, or that are not numbers.

    Raises:
        TypeError: Labels are in half precision.
        ValueError: On the CPU, a label is NaN or infinite.
    """
    if labels.is_floating_point() and labels.element_size() < 4:
        raise TypeError(
            f"{user} needs real labels in float32 or wider; got {labels.dtype}, which rounds them "
            "(precision bf16-true and 16-true do, bf16-mixed and 16-mixed do not)"
        )
    check_finite_labels(labels)


def check_whole_or_wide(labels: Tensor, user: str) -> None:
    """Refuse, on the CPU, labels that are not numbers, or real ones that were rounded.

    Sets of labels are made of −1, 0 and 1, which half precision holds as they are.

    Raises:
        TypeError: Labels are real numbers in half precision.
        ValueError: A label is NaN or infinite.
    """
    is_real = labels.is_floating_point() and eager_on_cpu(labels)
    if is_real and not torch.isin(labels.float(), torch.tensor([-1.0, 0.0, 1.0])).all():
        check_real_labels(labels, user)


def check_finite_labels(labels: Tensor) -> None:
    """Refuse, on the CPU, labels that are not numbers.

    Raises:
        ValueError: A label is NaN or infinite; names the first.
    """
    if not (labels.is_floating_point() and eager_on_cpu(labels)):
        return
    if not (finite := labels.isfinite()).all():
        first = int((~finite).nonzero()[0, 0])
        raise ValueError(f"labels must be finite numbers; label {first} is NaN or infinite")


def check_classes(labels: Tensor, classes: int, user: str) -> None:
    """Refuse labels that are not one of some classes an image; their values on the CPU alone.

    Raises:
        TypeError: Labels are not integers.
        ValueError: They are not one an image, or one is not 0..classes − 1.
    """
    if not is_integer(labels):
        raise TypeError(f"{user} needs integer labels; got {labels.dtype}")
    if labels.ndim != 1:
        raise ValueError(f"{user} needs one label an image (shape [n]); got {list(labels.shape)}")
    check_within(labels, classes, f"labels of {user}")


def check_takes_embeddings(part: nn.Module, kind: str) -> None:
    """Refuse what pytorch-metric-learning's interface, embeddings first, does not fit.

    Raises:
        ValueError: It takes something else.
    """
    if next(iter(inspect.signature(part.forward).parameters), "") != "embeddings":
        raise ValueError(
            f"FromPML takes a {kind} of pytorch-metric-learning; {type(part).__name__} is none: "
            f"give a {kind} of ranklight to the objective itself"
        )
