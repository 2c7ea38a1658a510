"""What is broken, odd or there twice among the pictures of a data module."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from ranklight.datamodules import ImageFiles
from ranklight.datamodules.examination import Copies, Pictures, examine_pictures, find_copies
from ranklight.running.diagnosis.diagnosis import Diagnosis, Level

_TINY = 16
_LONG = 5.0


def diagnose_pictures(
    diagnosis: Diagnosis,
    splits: Mapping[str, Any],
    advance: Callable[[int], object] = lambda done: None,
) -> None:
    """Read every picture of every split, and look for copies among them.

    Args:
        diagnosis: Takes what is found.
        splits: By name; those without files are left out.
        advance: Called with a number of pictures when they are read.
    """
    with_files = {name: split for name, split in splits.items() if isinstance(split, ImageFiles)}
    if not with_files:
        diagnosis.add("note", "pictures", "the images are drawn, not read: there are no files")
        return
    parts = {name: examine_pictures(split, advance) for name, split in with_files.items()}
    files = [file for split in with_files.values() for file in split.files]
    for name, part in parts.items():
        _tell_sizes(diagnosis, name, part)
    pictures = Pictures.joined(list(parts.values()))
    if pictures.broken:
        sentence = f"{len(pictures.broken):,} of {len(files):,} pictures cannot be read"
        diagnosis.add("error", "pictures", sentence, pictures.broken)
    _diagnose_odd_ones(diagnosis, files, pictures)
    numbers = np.repeat(np.arange(len(parts)), [len(part.hashes) for part in parts.values()])
    labels = np.concatenate([np.asarray(split.labels) for split in with_files.values()])
    indices = np.concatenate([np.asarray(split.indices) for split in with_files.values()])
    copies = find_copies(pictures, numbers, labels, indices)
    _diagnose_copies(diagnosis, [list(parts)[number] for number in numbers], files, copies)


def _tell_sizes(diagnosis: Diagnosis, split: str, pictures: Pictures) -> None:
    known = pictures.sides[pictures.sides.all(1)]
    shorter = known.min(1) if len(known) else np.zeros(1, int)
    diagnosis.tell(
        "pictures",
        split=split,
        pictures=len(pictures.hashes),
        broken=len(pictures.broken),
        least_side=int(shorter.min()),
        median_side=int(np.median(shorter)),
        most_side=int(shorter.max()),
    )


def _diagnose_odd_ones(diagnosis: Diagnosis, files: list[str], pictures: Pictures) -> None:
    shorter, longer = pictures.sides.min(1), pictures.sides.max(1)
    known = pictures.readable & (shorter > 0)
    odd = {
        "are of one colour: nothing can be learnt of them": pictures.uniform,
        f"have a side shorter than {_TINY} pixels": known & (shorter < _TINY),
        f"are more than {_LONG:g} times as long as wide, and a square shows little of them": (
            known & (longer > _LONG * shorter)
        ),
    }
    for words, which in odd.items():
        names = _named(files, which)
        if names:
            diagnosis.add("warning", "pictures", f"{len(names):,} pictures {words}", names)


def _diagnose_copies(
    diagnosis: Diagnosis, splits: list[str], files: list[str], copies: Copies
) -> None:
    exact_elsewhere, exact_relabelled, near_elsewhere, near_relabelled = (
        _told(splits, files, earlier) for earlier in copies
    )
    tells = "scores on them tell what was learnt by heart"
    kinds: tuple[tuple[list[str], Level, str], ...] = (
        (exact_elsewhere, "warning", f"are exact copies of one in another split: {tells}"),
        (exact_relabelled, "warning", "are exact copies of one with other labels"),
        (near_elsewhere, "warning", f"look like one in another split: {tells}"),
        (near_relabelled, "note", "look like one with other labels"),
    )
    for names, level, words in kinds:
        if names:
            diagnosis.add(level, "copies", f"{len(names):,} pictures {words}", names)
    if not any((exact_elsewhere, exact_relabelled, near_elsewhere, near_relabelled)):
        diagnosis.add("note", "copies", "no picture is a copy of one in another split")


def _told(splits: list[str], files: list[str], earlier: Int[np.ndarray, "n"]) -> list[str]:
    return [
        f"{files[copy]} ({splits[copy]}) is {files[of]} ({splits[of]})"
        for copy, of in zip(np.flatnonzero(earlier >= 0), earlier[earlier >= 0], strict=True)
    ]


def _named(files: list[str], which: Bool[np.ndarray, "n"]) -> list[str]:
    places: NDArray[np.int64] = np.flatnonzero(which)
    return [files[place] for place in places]
