"""ROxford and RParis: buildings of two cities, and three grades of difficulty."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from pytorch_lightning.utilities import rank_zero_info

from ranklight.datamodules.evaluation_data import EvaluationData
from ranklight.datamodules.reading.annotations import (
    Location,
    Sample,
    check_counts,
    check_files,
    read_text,
)
from ranklight.datamodules.reading.boxes import check_boxes, cut_to_pictures, whole_pixels
from ranklight.datamodules.reading.pictures import Box
from ranklight.datamodules.reading.plain_pickle import read_plain_pickle
from ranklight.datamodules.relevant_pairs import RelevantPairs, listed_pairs
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.checks import check_choice

City = Literal["roxford5k", "rparis6k"]
_GALLERY = {"roxford5k": 4993, "rparis6k": 6322}
_QUERIES, _DISTRACTORS = 70, 1001001
_GRADES = ("easy", "hard", "junk")
# Of each setup, which grades are right, and which are as if they were not in the gallery.
_SETUPS = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}


class GroundTruth(NamedTuple):
    """What a file gnd_roxford5k.pkl or gnd_rparis6k.pkl says.

    Args:
        gallery: The names of the gallery's images.
        queries: The names of the queries.
        boxes: The part of each query's picture that is searched for.
        grades: Of each query, by grade, the positions of gallery images.
    """

    gallery: list[str]
    queries: list[str]
    boxes: Float[np.ndarray, "queries 4"]
    grades: list[dict[str, list[int]]]


class ROxfordParis(EvaluationData):
    """Revisited Oxford and Paris: 70 queries each, in galleries of 4,993 and 6,322 images.

    Radenović, Iscen, Tolias, Avrithis, Chum, CVPR 2018, arXiv 1803.11285;
    http://cmp.felk.cvut.cz/revisitop. `root` has the folder roxford5k or rparis6k, with
    gnd_roxford5k.pkl or gnd_rparis6k.pkl, which is read without executing it, and jpg/; and for
    `distractors` revisitop1m with revisitop1m.txt and jpg/. **Test has two loaders, [queries,
    gallery]**; of a query's picture only the box is seen, as the protocol has it.

    What answers a query is listed: `relevant_pairs("test")` has the three setups. In "easy" the
    easy images are right, and hard ones are junk, neither right nor wrong; in "hard" the other way
    round; in "medium" both are right. Images have no class: the label of each is a number of its
    own.

    Args:
        root: The folder with roxford5k/ or rparis6k/.
        city: Which of the two.
        distractors: Add the million distractors of R1M to the gallery.
        check_counts: Refuse another number of images than was published.
        training: What is trained and validated on, see `EvaluationData`.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.
    """

    def __init__(
        self,
        root: str,
        city: City = "roxford5k",
        distractors: bool = False,
        check_counts: bool = True,
        training: SplitData | None = None,
        **options: Any,
    ) -> None:
        super().__init__(training, **options)
        self.root = Path(root)
        check_choice(City, city=city)
        self.city = city
        self.distractors = distractors
        self.check_counts = check_counts

    def evaluation(self) -> None:
        """Read the ground truth; set `test` to [queries, gallery]."""
        folder = self.root / self.city
        file = folder / f"gnd_{self.city}.pkl"
        self.truth = truth = read_ground_truth(file)
        images = [
            Sample(folder / "jpg" / f"{name}.jpg", 2, Location(file, number, unit))
            for unit, names in (("query", truth.queries), ("gallery image", truth.gallery))
            for number, name in enumerate(names, 1)
        ]
        images += self._distractors()
        queries = len(truth.queries)
        if self.check_counts:
            self._check_counts(queries, len(images) - queries)
        check_files(images)
        boxes = _boxes(images[:queries], truth.boxes)
        labels = len(self.class_names) + torch.arange(len(images))
        indices = np.arange(len(images))
        _, *self.test = self.pictures(
            [image.file for image in images],
            labels,
            [indices[:0], indices[:queries], indices[queries:]],
            [image.location for image in images],
            [*boxes, *[None] * (len(images) - queries)],
        )
        rank_zero_info(
            f"ROxfordParis: test {queries} queries in {len(images) - queries} images of {self.city}"
        )

    def relevant_pairs(self, stage: Literal["val", "test"]) -> dict[str, RelevantPairs]:
        """Of test the setups "easy", "medium" and "hard"; of validation what `training` lists."""
        if stage == "val":
            listed = getattr(self.training, "relevant_pairs", None)
            return {} if listed is None else dict(listed("val"))
        return {
            setup: RelevantPairs(*(self._pairs(grades) for grades in both))
            for setup, both in _SETUPS.items()
        }

    def _pairs(self, grades: Sequence[str]) -> torch.Tensor:
        queries = len(self.truth.queries)
        answers = [
            [queries + position for grade in grades for position in of[grade]]
            for of in self.truth.grades
        ]
        return listed_pairs(range(queries), answers)

    def _distractors(self) -> list[Sample]:
        if not self.distractors:
            return []
        folder = self.root / "revisitop1m"
        file = folder / "revisitop1m.txt"
        return [
            Sample(folder / "jpg" / name.strip(), 2, Location(file, number))
            for number, name in enumerate(read_text(file).splitlines(), 1)
        ]

    def _check_counts(self, queries: int, gallery: int) -> None:
        counts = {"query": queries, "gallery": gallery}
        more = _DISTRACTORS if self.distractors else 0
        published = {"query": _QUERIES, "gallery": _GALLERY[self.city] + more}
        check_counts(f"ROxfordParis ({self.city})", counts, published)


def read_ground_truth(file: Path) -> GroundTruth:
    """What a ground truth file says, read without executing it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is of another form; says what was needed.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no annotation file {file} (from {Path.cwd()})")
    content = read_plain_pickle(file)
    try:
        gallery, queries = ([str(name) for name in content[key]] for key in ("imlist", "qimlist"))
        boxes = np.array([query["bbx"] for query in content["gnd"]], np.float64)
        grades = [
            {grade: [int(position) for position in query[grade]] for grade in _GRADES}
            for query in content["gnd"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} needs imlist, qimlist, and gnd with bbx, easy, hard and junk of each query; "
            f"reading them gave {error!r}"
        ) from error
    if boxes.shape != (len(queries), 4):
        raise ValueError(
            f"{file}: {len(queries)} queries need as many boxes of 4 numbers; got {boxes.shape}"
        )
    _check_positions(file, grades, len(gallery))
    return GroundTruth(gallery, queries, boxes, grades)


def _check_positions(file: Path, grades: list[dict[str, list[int]]], gallery: int) -> None:
    for number, of_query in enumerate(grades, 1):
        listed = [position for grade in _GRADES for position in of_query[grade]]
        where = Location(file, number, "query")
        if any(not 0 <= position < gallery for position in listed):
            raise ValueError(
                f"{where}: lists gallery images {min(listed)}..{max(listed)}, and there are "
                f"0..{gallery - 1}"
            )


def _boxes(queries: list[Sample], boxes: Float[np.ndarray, "queries 4"]) -> list[Box]:
    files = [str(query.file) for query in queries]
    boxes = cut_to_pictures(files, boxes)
    check_boxes(files, boxes, [query.location for query in queries])
    return whole_pixels(boxes)
