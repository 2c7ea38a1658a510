"""What a name and weights of a library of networks must be."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar
from urllib.error import URLError

import torch

_Network = TypeVar("_Network")


def is_file(weights: str | None) -> bool:
    """Whether weights name a file and not something published."""
    return weights is not None and bool(Path(weights).suffix)


def check_name(library: str, name: str, known: list[str]) -> None:
    """Refuse a network that a library does not have.

    Raises:
        ValueError: It does not; names what is near.
    """
    if name not in known:
        raise ValueError(
            f"{library} has no trunk {name!r}; "
            f"near it: {', '.join(get_close_matches(name, known, n=4, cutoff=0))}"
        )


def check_weights(name: str, weights: str | None, known: list[str]) -> None:
    """Refuse weights that are neither published nor a file.

    Raises:
        ValueError: They are not; names those that are.
    """
    if weights is not None and weights not in known and not is_file(weights):
        raise ValueError(
            f"{name} has no weights {weights!r}: give null, {', '.join(known)}, or the path of a "
            "file with a suffix, such as .pth"
        )


def fetch(build: Callable[[], _Network], name: str, weights: str | None, file: str) -> _Network:
    """Build a network with weights that may have to be fetched.

    Raises:
        FileNotFoundError: They cannot be; names the file to bring.
    """
    try:
        return build()
    except (URLError, OSError) as error:
        raise FileNotFoundError(
            f"weights {weights!r} of {name} could not be fetched ({error}). Bring {file} to this "
            "machine and pass its path as `weights`, or put it into "
            f"{torch.hub.get_dir()}/checkpoints"
        ) from error
