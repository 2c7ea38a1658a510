"""What every part of an objective asks of the tensors that it is given.

Shapes, types and devices are known without the values, and are checked everywhere. Values are
looked at where `kernels.eager.eager_on_cpu` says that nothing waits for it: on a GPU a look stops
the host in every step. The lightning modules check labels while they are on the CPU still, so that
a run on a GPU is told the same.
"""

import torch
from torch import Tensor

from ranklight.kernels.eager import eager_on_cpu


def check_tensors(**given: object) -> None:
    """Refuse what is no tensor, and tensors on different devices.

    Raises:
        TypeError: Something is no tensor.
        ValueError: Not all are on one device.
    """
    device = None
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor; got {type(value).__name__}")
        if device is not None and value.device != device:
            raise ValueError(
                f"all tensors must be on one device; got {next(iter(given))} on {device} and "
                f"{name} on {value.device}"
            )
        device = value.device


def check_vectors(**given: Tensor) -> None:
    """Refuse what is not one vector of floats a row.

    Raises:
        TypeError: Something is no tensor of floats.
        ValueError: The shape is not [n, d], or not all are on one device.
    """
    check_tensors(**given)
    for name, vectors in given.items():
        if not vectors.is_floating_point():
            raise TypeError(f"{name} must be floats; got {vectors.dtype}")
        if vectors.ndim != 2:
            raise ValueError(f"{name} must have the shape [n, d]; got {list(vectors.shape)}")


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


def check_within(indices: Tensor, size: int, what: str) -> None:
    """Refuse, on the CPU, integers that are not 0..size − 1.

    Raises:
        ValueError: An integer is below 0, or not below the size.
    """
    if not eager_on_cpu(indices) or not indices.numel():
        return
    low, high = (int(value) for value in indices.long().aminmax())
    if low < 0 or high >= size:
        outside = low if low < 0 else high
        raise ValueError(f"{what} must be 0..{size - 1}; got {outside}")


def is_integer(tensor: Tensor) -> bool:
    """Whether it holds integers, of any width; True and False are none."""
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
