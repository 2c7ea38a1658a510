"""Graded relevance of image pairs: from a table, from attributes, or from a feature space.

Each source is called two ways. `source.of_pairs(i, j)` is the relevance of image j to image i for
two vectors of image numbers, what samplers ask for. Sources over labels are also modules from two
sets of labels to the matrix R, for objectives and metrics. Relevance is 0 (none) to 1 (the same).
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray
from torch import Tensor, nn

OfPairs = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""(image numbers i, image numbers j) -> relevance of each j to its i."""

_PAIRS = 1 << 20


class GradedByAttributes(nn.Module):
    """Same class and near attributes, above same class, above another class.

        R_ij = [c_i = c_j] (s + (1 − s) e^{−‖a_i − a_j‖ / l})

    for labels (c, a_1, a_2, ...): the class in the first column, real attributes in the others.

    Args:
        same_class: s, relevance of images of one class whose attributes are far apart.
        length: l, the attribute distance at which what is above s has fallen to 37 %.
    """

    def __init__(self, same_class: float = 0.2, length: float = 0.5) -> None:
        super().__init__()
        self.same_class = same_class
        self.length = length

    def forward(
        self, labels: Float[Tensor, "n l"], ref_labels: Float[Tensor, "m l"]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        distance = torch.cdist(
            labels[:, 1:], ref_labels[:, 1:], compute_mode="donot_use_mm_for_euclid_dist"
        )
        return self._graded(labels[:, None, 0] == ref_labels[:, 0], distance)

    def of_pairs(self, labels: Float[Tensor, "n l"]) -> OfPairs:
        """The same for numbers of images with these labels."""

        def graded(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
            one, other = labels[torch.from_numpy(i)], labels[torch.from_numpy(j)]
            distance = (one[:, 1:] - other[:, 1:]).double().norm(dim=1)
            return self._graded(one[:, 0] == other[:, 0], distance).numpy()

        return graded

    def _graded(self, same: Tensor, distance: Tensor) -> Tensor:
        return same * (self.same_class + (1 - self.same_class) * (-distance / self.length).exp())


class ByFeatures(nn.Module):
    """Near in a feature space is relevant: R_ij = e^{−‖f_i − f_j‖ / l}.

    Any vectors: a hand-made feature, another network's embedding; the "golden feature" of deep
    ranking (Wang et al., CVPR 2014, arXiv 1404.4661) was one, learnt from human ratings.

    Args:
        length: l, the distance at which relevance has fallen to 37 %.
    """

    def __init__(self, length: float = 1.0) -> None:
        super().__init__()
        self.length = length

    def forward(
        self, labels: Float[Tensor, "n d"], ref_labels: Float[Tensor, "m d"]
    ) -> Float[Tensor, "n m"]:
        """Relevance of every reference to every anchor."""
        distance = torch.cdist(labels, ref_labels, compute_mode="donot_use_mm_for_euclid_dist")
        return (-distance / self.length).exp()

    def of_pairs(self, features: Float[Tensor, "n d"]) -> OfPairs:
        """The same for numbers of images with these features."""

        def of_numbers(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
            distance = (features[torch.from_numpy(i)] - features[torch.from_numpy(j)]).double()
            near: NDArray[np.float64] = (-distance.norm(dim=1) / self.length).exp().numpy()
            return near

        return of_numbers


class ByTable:
    """What a table gives to pairs of images, in both directions; 0 where it is silent.

    Args:
        first: Image numbers.
        second: Image numbers.
        relevance: Of each pair, at least 0.
        images: How many images there are.

    Raises:
        ValueError: A negative or non-finite relevance, an unknown image, or a pair of different
            relevance in two rows.
    """

    def __init__(
        self,
        first: Int[np.ndarray, "p"],
        second: Int[np.ndarray, "p"],
        relevance: Float[np.ndarray, "p"],
        images: int,
    ) -> None:
        bad = ~(np.isfinite(relevance) & (relevance >= 0))
        bad |= (np.minimum(first, second) < 0) | (np.maximum(first, second) >= images)
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"pair {row}, images {first[row]} and {second[row]} of {images}, has relevance "
                f"{relevance[row]}; it must be at least 0"
            )
        self.images = images
        keys = self._keys(first, second)
        self._pairs, place = np.unique(keys, return_index=True)
        self._relevance = relevance[place].astype(np.float64)
        if (self.of_pairs(first, second) != relevance).any():
            raise ValueError("the table gives some pair of images two relevances")

    @classmethod
    def from_csv(cls, path: str, names: Sequence[str]) -> "ByTable":
        """Rows `image,image,relevance` under a header line.

        Args:
            path: The file.
            names: The name of each image, as the file has it.

        Raises:
            ValueError: An unknown image or a bad number; names file and line.
        """
        number = {name: place for place, name in enumerate(names)}
        pairs, values = [], []
        with Path(path).open(newline="") as file:
            for line, row in enumerate(csv.reader(file), 1):
                if line == 1:
                    continue
                if len(row) != 3 or row[0] not in number or row[1] not in number:
                    raise ValueError(
                        f"{path}, line {line}: not two known images and a relevance: {row}"
                    )
                pairs.append((number[row[0]], number[row[1]]))
                values.append(_number(row[2], f"{path}, line {line}"))
        both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return cls(both[:, 0], both[:, 1], np.array(values), len(names))

    def of_pairs(self, i: Int[np.ndarray, "p"], j: Int[np.ndarray, "p"]) -> Float[np.ndarray, "p"]:
        """Relevance of each j to its i."""
        if not len(self._pairs):
            return np.zeros(len(i))
        keys = self._keys(i, j)
        place = np.searchsorted(self._pairs, keys).clip(max=len(self._pairs) - 1)
        found: NDArray[np.float64] = np.where(self._pairs[place] == keys, self._relevance[place], 0)
        return found

    def _keys(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
        keys: NDArray[np.int64] = np.minimum(i, j) * self.images + np.maximum(i, j)
        return keys


def total_relevance(of_pairs: OfPairs, classes: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """r_i = Σ R_ij over the other images j of the same class, in blocks.

    Args:
        of_pairs: Relevance of pairs of image numbers.
        classes: The class of each image.
    """
    total = np.zeros(len(classes))
    order = np.argsort(classes, kind="stable")
    starts = np.flatnonzero(np.diff(classes[order], prepend=classes[order[:1]] - 1))
    for members in np.split(order, starts[1:]):
        rows = max(1, _PAIRS // len(members))
        for first in range(0, len(members), rows):
            some = members[first : first + rows]
            i, j = np.repeat(some, len(members)), np.tile(members, len(some))
            found = np.where(i == j, 0, of_pairs(i, j))
            total[some] = found.reshape(len(some), -1).sum(1)
    return total


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{where}: {text!r} is no number") from error
