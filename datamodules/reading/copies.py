"""Exact copies of images in more than one split."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from hashlib import blake2b
from operator import or_

import numpy as np
from pytorch_lightning.utilities import rank_zero_only, rank_zero_warn

from ranklight.datamodules.reading.files_there import file_sizes
from ranklight.datamodules.reading.found import first_names

_BLOCK = 4096
_MOST_BYTES = 1 << 28

Masks = Mapping[str, int]
"""Of each file the splits that it is in, a bit each."""


@rank_zero_only
def warn_of_copies(
    splits: Sequence[tuple[str, Sequence[str]]], most_bytes: int = _MOST_BYTES
) -> None:
    """Warn of images that are, byte for byte, in more than one split.

    Files of one size are compared, first by a block of their middle, and then whole.

    Args:
        splits: Pairs of a split's name and its files; queries and gallery of a split share a name.
        most_bytes: How much is read at most; it is said when that was not enough.
    """
    names = list(dict.fromkeys(name for name, _ in splits))
    masks: dict[str, int] = {}
    for name, files in splits:
        bit = 1 << names.index(name)
        for file in files:
            masks[file] = masks.get(file, 0) | bit
    reader = _Reader(most_bytes)
    copies = [[file] for file, mask in masks.items() if _several(mask)]
    copies += _equal_files(masks, reader)
    if copies:
        shown = first_names([_described(group, masks, names) for group in copies])
        rank_zero_warn(
            f"images in more than one split, as one file or as exact copies, {len(copies)}: "
            f"{shown}; what is learnt by heart is then scored"
        )
    if reader.left < 0:
        rank_zero_warn(
            "many images have the same size in bytes: exact copies across splits were looked for "
            f"in the first {most_bytes >> 20} MiB of them only"
        )


class _Reader:
    """Fingerprints of files, until so many bytes were read."""

    def __init__(self, most_bytes: int) -> None:
        self.left = most_bytes

    def block(self, file: str, size: int) -> bytes | None:
        """A hash of a block in the middle; None where nothing more is read."""
        return self._hash(file, max(0, (size - _BLOCK) // 2), _BLOCK)

    def whole(self, file: str, size: int) -> bytes | None:
        """A hash of all."""
        return self._hash(file, 0, size)

    def _hash(self, file: str, start: int, length: int) -> bytes | None:
        # A small file costs as much as a block.
        self.left -= max(length, _BLOCK)
        if self.left < 0:
            return None
        with open(file, "rb") as opened:
            opened.seek(start)
            return blake2b(opened.read(length), digest_size=16).digest()


def _equal_files(masks: Masks, reader: _Reader) -> list[list[str]]:
    """Groups of files with the same bytes that are not all in one split."""
    files = sorted(masks)
    sizes = file_sizes(files)
    _, inverse, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    alike = np.flatnonzero((counts[inverse] > 1) & (sizes > 0)).tolist()
    size = {files[number]: int(sizes[number]) for number in alike}
    groups = _split_by(lambda file, _: size[file], [list(size)], size, masks)
    groups = _split_by(reader.block, groups, size, masks)
    return _split_by(reader.whole, groups, size, masks)


def _split_by(
    fingerprint: Callable[[str, int], object],
    groups: list[list[str]],
    size: Mapping[str, int],
    masks: Masks,
) -> list[list[str]]:
    """The parts of each group with equal fingerprints that are not all in one split."""
    alike: defaultdict[object, list[str]] = defaultdict(list)
    for number, group in enumerate(groups):
        for file in group:
            if (key := fingerprint(file, size[file])) is not None:
                alike[number, key].append(file)
    parts = (part for part in alike.values() if len(part) > 1)
    return [part for part in parts if _several(reduce(or_, (masks[file] for file in part)))]


def _several(mask: int) -> bool:
    return mask & (mask - 1) > 0


def _described(group: Sequence[str], masks: Masks, names: Sequence[str]) -> str:
    """One file of each split."""
    seen, parts = 0, []
    for file in group:
        if new := masks[file] & ~seen:
            of = " and ".join(name for bit, name in enumerate(names) if new >> bit & 1)
            parts.append(f"{file} ({of})")
            seen |= new
    return " = ".join(parts)
