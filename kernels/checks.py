"""What is asked of tensors that somebody else gives.

Shapes, types and devices are known without the values, and are checked everywhere. Values are
looked at where `kernels.eager.eager_on_cpu` says that nothing waits for it: on a GPU a look stops
the host in every step.
"""

import math
from numbers import Real
from typing import SupportsIndex, get_args

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


def check_values_are_there(**given: object) -> None:
    """Refuse what is no tensor, tensors on different devices, and those that have only a shape.

    Raises:
        TypeError: Something is no tensor.
        ValueError: Not all are on one device, or it is the one that holds no values.
    """
    check_tensors(**given)
    for name, value in given.items():
        if isinstance(value, Tensor) and value.device.type == "meta":
            raise ValueError(f"{name} must hold values; got a tensor on the device meta")


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


def check_integers(**given: Tensor) -> None:
    """Refuse what is not one integer a row.

    Raises:
        TypeError: Something is no tensor of integers.
        ValueError: The shape is not [n], or not all are on one device.
    """
    check_tensors(**given)
    for name, integers in given.items():
        if not is_integer(integers):
            raise TypeError(f"{name} must be integers; got {integers.dtype}")
        if integers.ndim != 1:
            raise ValueError(f"{name} must have the shape [n]; got {list(integers.shape)}")


def check_counts(**counts: object) -> None:
    """Refuse what is not a whole number from 1.

    Raises:
        TypeError: It is not a whole number.
        ValueError: It is below 1, or above 2^31.
    """
    for name, count in counts.items():
        if not 1 <= whole(count, name) <= 2**31:
            raise ValueError(f"{name} must be 1 to 2^31; got {count}")


def check_positive(**settings: object) -> None:
    """Refuse a setting that is not a finite number above 0, as temperatures and scales are.

    Raises:
        TypeError: It is no number.
        ValueError: It is 0 or below, infinite or NaN.
    """
    check_finite(**settings)
    for name, setting in settings.items():
        if not setting > 0:  # type: ignore[operator]
            raise ValueError(f"{name} must be above 0; got {setting}")


def check_not_negative(**settings: object) -> None:
    """Refuse a setting that is not a finite number from 0, as weights are.

    Raises:
        TypeError: It is no number.
        ValueError: It is below 0, infinite or NaN.
    """
    check_finite(**settings)
    for name, setting in settings.items():
        if not setting >= 0:  # type: ignore[operator]
            raise ValueError(f"{name} must be 0 or more; got {setting}")


def check_share(**settings: object) -> None:
    """Refuse a setting that is not 0 or more and below 1, as a share that is left out is.

    Raises:
        TypeError: It is no number.
        ValueError: It is below 0, 1 or more, or NaN.
    """
    check_finite(**settings)
    for name, setting in settings.items():
        if not 0 <= setting < 1:  # type: ignore[operator]
            raise ValueError(f"{name} must be 0 or more and below 1; got {setting}")


def check_choice(choices: object, **given: object) -> None:
    """Refuse what is none of a few words or numbers.

    Args:
        choices: Their `typing.Literal`.
        given: What was chosen, by the names of the settings.

    Raises:
        ValueError: It is none of them.
    """
    known = get_args(choices)
    for name, choice in given.items():
        if choice not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(str, known))}; got {choice!r}")


def check_finite(**settings: object) -> None:
    """Refuse a setting that is not a finite number, as margins are.

    Raises:
        TypeError: It is no number.
        ValueError: It is infinite or NaN.
    """
    for name, setting in settings.items():
        if isinstance(setting, bool) or not isinstance(setting, Real):
            raise TypeError(f"{name} must be a number; got {setting!r}")
        if not math.isfinite(setting):
            raise ValueError(f"{name} must be finite; got {setting}")


def whole(number: object, name: str) -> int:
    """A whole number, of Python or of NumPy.

    Raises:
        TypeError: It is none.
    """
    if isinstance(number, bool) or not isinstance(number, SupportsIndex):
        raise TypeError(f"{name} must be a whole number; got {number!r}")
    return number.__index__()


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
