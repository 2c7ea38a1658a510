"""What a configuration from elsewhere would build."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

_KNOWN = {"ranklight", "torch", "torchvision", "timm"}
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def check_classes(configuration: Any, origin: str) -> None:
    """Refuse a configuration that names classes or functions of packages that are not known here.

    What it names is imported and called when the model is loaded.

    Args:
        configuration: As config.yaml holds it.
        origin: Where it is from.

    Raises:
        ValueError: It does; names them.
    """
    foreign = sorted({text for text in _texts(configuration) if _is_foreign(text)})
    if foreign:
        raise ValueError(
            f"to load {origin} would import and call {', '.join(foreign)}, which are not of "
            f"{', '.join(sorted(_KNOWN))}: look at its config.yaml, and pull again with --trust"
        )


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _texts(part)


def _is_foreign(text: str) -> bool:
    root = text.partition(".")[0]
    return bool(_PATH.fullmatch(text)) and root not in _KNOWN and find_spec(root) is not None
