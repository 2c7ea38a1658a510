"""The splits of a data module by their names."""

from collections.abc import Sequence
from typing import Any

_PARTS = ("queries", "gallery")


def named_splits(data: Any) -> dict[str, Any]:
    """`train`, `val` and `test`, or `val queries` and `val gallery` where these are apart.

    What has no labels, or is not there, is left out.

    Args:
        data: A data module, after `setup`.
    """
    found: dict[str, Any] = {}
    for name in ("train", "val", "test"):
        split = getattr(data, name, None)
        if isinstance(split, Sequence):
            named = zip(_PARTS, split, strict=False)
            found |= {f"{name} {part}": each for part, each in named}
        else:
            found[name] = split
    return {
        name: split
        for name, split in found.items()
        if hasattr(split, "labels") and hasattr(split, "indices")
    }
