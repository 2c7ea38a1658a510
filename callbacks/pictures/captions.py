"""The picture of an evaluated image, and the names that stand beneath it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Int, Shaped
from torch import Tensor

from ranklight.callbacks.evaluation.scores_file import files_of
from ranklight.callbacks.pictures.dataset_pictures import picture_of


class Captions:
    """Pictures of evaluated images, and their class and file as far as these are known.

    Args:
        labels: Of every image.
        ids: The index of every image in the data set.
        classes: Name of each class, or of each column of multi-hot labels; none if unknown.
        dataset: Where the pictures come from.
    """

    def __init__(
        self,
        labels: Shaped[Tensor, "n ..."],
        ids: Int[Tensor, "n"],
        classes: Sequence[str],
        dataset: Any,
    ) -> None:
        self.labels = labels
        self.ids = ids
        self.classes = classes
        self.dataset = dataset

    def picture(self, row: int) -> Tensor:
        """The image as evaluation sees it."""
        return picture_of(self.dataset, self.ids[row])

    def names(self, row: int) -> list[str]:
        """Its class or its labels, if labels are these, then its file."""
        return [*self._of_label(self.labels[row]), self.file(row)]

    def file(self, row: int) -> str:
        """The name of its file; its index where there are no files."""
        files = files_of(self.dataset, self.ids[row : row + 1])
        return Path(files[0]).name if files else f"image {int(self.ids[row])}"

    def class_name(self, number: int) -> str:
        """The name of a class, by its number."""
        return self.classes[number] if number < len(self.classes) else f"class {number}"

    def _of_label(self, label: Tensor) -> list[str]:
        if label.ndim == 0 and not label.is_floating_point():
            return [self.class_name(int(label))]
        if label.ndim == 1 and len(label) == len(self.classes):
            return [", ".join(self.classes[place] for place in (label > 0).nonzero()) or "none"]
        return []
