"""What is asked of rankings, scores and labels before anything is computed of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ranklight.kernels.checks import check_tensors, check_values_are_there, whole


def real_matrix(values: Tensor, name: str) -> Tensor:
    """A matrix without its gradient, integers as floats.

    Raises:
        TypeError: It is no tensor, or holds complex numbers.
        ValueError: It is no matrix, or holds no values.
    """
    check_values_are_there(**{name: values})
    if values.is_complex():
        raise TypeError(f"{name} must be real numbers; got {values.dtype}")
    if values.ndim != 2:
        raise ValueError(f"{name} must have the shape [n, k]; got {list(values.shape)}")
    kept = values.is_floating_point() or values.dtype == torch.bool
    return values.detach() if kept else values.double()


def multi_hot(labels: Tensor, rows: Tensor, name: str) -> Tensor:
    """Labels of the same rows and classes as another matrix.

    Raises:
        TypeError: They are no tensor, or complex numbers.
        ValueError: The shape or the device is another, there is no class, or a label is NaN.
    """
    check_values_are_there(**{name: rows, "labels": labels})
    labels = real_matrix(labels, "labels")
    if labels.shape != rows.shape or labels.shape[1] == 0:
        raise ValueError(
            f"{name} and labels must be of the same images and classes, at least one; got the "
            f"shapes {list(rows.shape)} and {list(labels.shape)}"
        )
    if labels.isnan().any():
        raise ValueError("labels must be 1 (applies), 0 (does not) or -1 (unknown); got NaN")
    return labels


def check_ks(ks: Sequence[int], score: str) -> None:
    """Refuse anything but at least one K, each 1 or more.

    Raises:
        TypeError: A K is not a whole number.
        ValueError: There is none, or one is below 1.
    """
    if not ks or min(whole(k, "K") for k in ks) < 1:
        raise ValueError(f"{score} needs at least one K, each 1 or more, not {tuple(ks)}")


def check_bools(**given: Tensor) -> None:
    """Refuse what is not a matrix of True and False.

    Raises:
        TypeError: Something is no tensor of Booleans.
        ValueError: It is no matrix.
    """
    check_tensors(**given)
    for name, values in given.items():
        if values.dtype != torch.bool:
            raise TypeError(f"{name} must be True and False; got {values.dtype}")
        if values.ndim != 2:
            raise ValueError(f"{name} must have the shape [n, c]; got {list(values.shape)}")


def check_floats(shape: Sequence[int | None], **given: Tensor) -> None:
    """Refuse what are not floats of a shape, in which None is any size.

    Raises:
        TypeError: Something is no tensor of floats.
        ValueError: The shape is another, or there are no values.
    """
    check_values_are_there(**given)
    for name, values in given.items():
        if not values.is_floating_point():
            raise TypeError(f"{name} must be floats; got {values.dtype}")
        sizes = zip(shape, values.shape, strict=False)
        if len(shape) != values.ndim or any(size not in (None, own) for size, own in sizes):
            wanted = ["k" if size is None else size for size in shape]
            raise ValueError(f"{name} must have the shape {wanted}; got {list(values.shape)}")
