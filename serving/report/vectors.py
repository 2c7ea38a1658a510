"""The vectors of images from the files that `ranklight embed` wrote, with what is known of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from ranklight.datamodules.reading.annotations import split_named
from ranklight.datamodules.reading.boxes import SIDES
from ranklight.serving.boxes import boxes_in
from ranklight.serving.embeddings_file import EmbeddingsFile, vectors_of

_UNSCORED = "not scored"


class Vectors:
    """A row an image; images that could not be read are left out.

    Attributes:
        files: As they are named in the files of vectors.
        boxes: The part of each file that is the image; None for the whole.
        matrix: The vectors, as they are stored.
        classes: The class of each image; None where labels are no classes.
        labels: The set of labels of each image; None where labels are no sets.
        decided: The set of labels that the model gave; None where it gives none.
        splits: The split of each image; None where nobody says it.
        sources: What the files say of their vectors, by their paths.
        broken: Images that could not be read, with the reason.

    Raises:
        FileNotFoundError: A file is not there.
        ValueError: A file is none that `ranklight embed` wrote, or two are of different encoders.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        opened = [EmbeddingsFile(file) for file in files]
        _check_files(opened)
        self.sources = {str(file.path): file.about for file in opened}
        parts = [vectors_of(block) for file in opened for block in file.blocks(["embedding"])]
        there = np.concatenate([whole for _, whole in parts])
        self.matrix: Float32[np.ndarray, "n d"] = np.concatenate([part for part, _ in parts])[there]
        columns = _columns(opened)
        kept = {
            name: [value for value, whole in zip(values, there, strict=True) if whole]
            for name, values in columns.items()
        }
        self.broken = {
            name: error
            for name, error in zip(columns["file"], columns["error"], strict=True)
            if error is not None
        }
        self.files: list[str] = kept["file"]
        for name, finite in zip(self.files, np.isfinite(self.matrix).all(1), strict=True):
            if not finite:
                raise ValueError(f"the embedding of {name} is not finite: embed it again")
        self.boxes = boxes_in(kept, len(self.files))
        self.classes = _classes(kept.get("label"))
        self.labels = _sets(kept.get("label"))
        self.decided = _sets(kept.get("decided"))
        self.splits = _splits(kept.get("split"))

    def __len__(self) -> int:
        return len(self.files)

    def take_splits(self, scored: dict[str, set[str]], keys: Sequence[str]) -> None:
        """Where no table says the splits, take them from the files that evaluations scored.

        Args:
            scored: The files of each split's queries.
            keys: What to look for there, one an image.
        """
        if self.splits is not None or not any(scored.values()):
            return
        of = {file: split for split, files in scored.items() for file in files}
        found = [of.get(key, _UNSCORED) for key in keys]
        if set(found) != {_UNSCORED}:
            self.splits = found

    def rows_of(self, split: str) -> Int[np.ndarray, "rows"]:
        """The images of a split; all where splits are not known."""
        if self.splits is None:
            return np.arange(len(self))
        return np.flatnonzero(np.array(self.splits) == split)


def _check_files(files: Sequence[EmbeddingsFile]) -> None:
    """Refuse files of different encoders, files of no image, and one that is given twice."""
    first = files[0]
    for file in files:
        if not file.rows:
            raise ValueError(f"{file.path} holds no image: embed some")
        if sum(file.path.samefile(other.path) for other in files) > 1:
            raise ValueError(f"{file.path} is given twice, and each of its images is there once")
        if file.about.encoder != first.about.encoder:
            raise ValueError(
                f"vectors of two encoders cannot be compared: {first.path} is of "
                f"{first.about.encoder}, {file.path} of {file.about.encoder}"
            )


def _columns(files: Sequence[EmbeddingsFile]) -> dict[str, list[Any]]:
    """What is known of the images beside their vectors; only what all files say."""
    wanted = [
        name
        for name in ("file", "error", "label", "decided", "split", *SIDES)
        if all(name in file.columns for file in files)
    ]
    found: dict[str, list[Any]] = {name: [] for name in wanted}
    for file in files:
        for block in file.blocks(wanted):
            for name, values in block.to_pydict().items():
                found[name] += values
    return found


def _names(values: list[Any] | None) -> list[str] | None:
    known = values is not None and all(value is not None for value in values)
    return [str(value) for value in values] if values and known else None


def _splits(values: list[Any] | None) -> list[str] | None:
    """By the names train, val and test where a table calls these otherwise."""
    names = _names(values)
    return None if names is None else [split_named(name) or name for name in names]


def _classes(labels: list[Any] | None) -> list[str] | None:
    """Labels that are one name or one number each."""
    return _names(labels) if labels and all(isinstance(of, str | int) for of in labels) else None


def _sets(labels: list[Any] | None) -> list[set[str]] | None:
    """Labels that are lists of names each."""
    if not labels or not all(isinstance(of, list) for of in labels):
        return None
    if not all(isinstance(name, str) for of in labels for name in of):
        return None
    return [set(of) for of in labels]
