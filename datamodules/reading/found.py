"""What was found of a data set's files, and what was left out and why, in one line."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_SHOWN = 3


class LeftOut:
    """Counts what is left out, by reason, and keeps the first names.

    Args:
        root: The folder that names are told from.

    Examples:
        >>> left_out = LeftOut("data")
        >>> for name in ("data/a/notes.txt", "data/a/more.txt", "data/b/.DS_Store"):
        ...     left_out.add("hidden" if "/." in name else "no image", name)
        >>> str(left_out)
        'left out: 2 no image (a/notes.txt, a/more.txt), 1 hidden (b/.DS_Store)'
    """

    def __init__(self, root: str | Path) -> None:
        self.root = root
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[str]] = {}

    def add(self, reason: str, name: str | Path) -> None:
        """One more for this reason."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        shown = self.first.setdefault(reason, [])
        if len(shown) < _SHOWN:
            shown.append(os.path.relpath(name, self.root))

    def __str__(self) -> str:
        parts = [
            f"{count} {reason} ({', '.join(self.first[reason])}"
            f"{', ...' if count > len(self.first[reason]) else ''})"
            for reason, count in self.counts.items()
        ]
        return f"left out: {', '.join(parts)}" if parts else "nothing left out"


def summary(data: object, sizes: Mapping[str, str], *notes: object) -> str:
    """What a data module found: `ImageFolder: train 40 images, test 20 images; nothing left out`.

    Args:
        data: The data module.
        sizes: How much is in each split, in words.
        notes: What else is to be said.
    """
    splits = ", ".join(f"{split} {size}" for split, size in sizes.items())
    return "; ".join([f"{type(data).__name__}: {splits}", *(str(note) for note in notes)])


def first_names(names: Sequence[object], shown: int = _SHOWN) -> str:
    """The first few names, and dots where there are more."""
    return f"{', '.join(map(str, names[:shown]))}{', ...' if len(names) > shown else ''}"
