"""Labeled Faces in the Wild: do two photographs show one person?"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Int
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from ranklight.datamodules.evaluation_data import EvaluationData
from ranklight.datamodules.reading.annotations import check_counts, folder_within
from ranklight.datamodules.reading.files_there import check_files_there
from ranklight.datamodules.reading.pair_files import PairFile, read_pairs
from ranklight.datamodules.split_data import SplitData

_PUBLISHED = {
    "pairs.txt": {"pairs of one person": 3000, "pairs of two": 3000},
    "pairsDevTrain.txt": {"pairs of one person": 1100, "pairs of two": 1100},
    "pairsDevTest.txt": {"pairs of one person": 500, "pairs of two": 500},
}


class LFWPairs(EvaluationData):
    """Labeled Faces in the Wild, verification: 3,000 pairs of one person and 3,000 of two.

    Huang, Ramesh, Berg, Learned-Miller, University of Massachusetts 2007;
    http://vis-www.cs.umass.edu/lfw. `root` has the files of pairs and the images,
    Name/Name_0001.jpg, perhaps in the folder lfw; see `read_pairs`. **Validation is the development
    set** (View 1, pairsDevTrain.txt), which a threshold is fitted on, **test the ten sets of View
    2** (pairs.txt). Each has the images that its pairs name, once; `pairs` has the pairs.

    Training is on other faces, `training`, which LFW calls labelled outside data: people of View 1
    are in View 2 too, so that a model trained on the one must not be tested on the other. Training
    faces of LFW's own people are for you to leave out.

    Args:
        root: The folder with the files of pairs.
        val_pairs: The file of pairs for validation.
        test_pairs: The file of pairs for test.
        check_counts: Refuse another number of pairs than was published.
        training: What is trained on, see `EvaluationData`.
        **options: Of `ImageFileData`: what is seen of pictures, seeds and loaders.

    Attributes:
        class_names: Those of `training`; without it, the people.
    """

    def __init__(
        self,
        root: str,
        val_pairs: str = "pairsDevTrain.txt",
        test_pairs: str = "pairs.txt",
        check_counts: bool = True,
        training: SplitData | None = None,
        **options: Any,
    ) -> None:
        super().__init__(training, **options)
        self.root = Path(root)
        self.val_pairs = val_pairs
        self.test_pairs = test_pairs
        self.check_counts = check_counts

    def evaluation(self) -> None:
        """Read the pairs; set `val` and `test` to the images that they name."""
        both = [self._read(name) for name in (self.val_pairs, self.test_pairs)]
        names = [sorted({*pairs.first, *pairs.second}) for pairs in both]
        images = sorted({*names[0], *names[1]})
        folder = folder_within(self.root, "lfw")
        files = [f"{folder}/{image}" for image in images]
        check_files_there(f"{self.val_pairs} and {self.test_pairs}", files)
        people, labels = np.unique([image.split("/")[0] for image in images], return_inverse=True)
        index = {image: number for number, image in enumerate(images)}
        rows = [np.array([index[image] for image in of]) for of in names]
        _, self.val, self.test = self.pictures(
            files, torch.from_numpy(len(self.class_names) + labels), [rows[0][:0], *rows]
        )
        self.class_names = self.class_names or people.tolist()
        self._pairs = {
            stage: (*_indexed(pairs, index), *_folds(pairs))
            for stage, pairs in zip(("val", "test"), both, strict=True)
        }
        rank_zero_info(
            f"LFWPairs: validation {len(both[0].same)} pairs of {len(rows[0])} images, test "
            f"{len(both[1].same)} pairs of {len(rows[1])} images"
        )

    def pairs(self, stage: Literal["val", "test"]) -> tuple[Tensor, ...]:
        """Pairs of image indices, whether both show one person, and the set where there are sets.

        The arguments of `callbacks.evaluation.listed_pairs.ListedPairs`.
        """
        return self._pairs[stage]

    def _read(self, name: str) -> PairFile:
        pairs = read_pairs(self.root / name)
        if self.check_counts and name in _PUBLISHED:
            same = int(pairs.same.sum())
            counts = {"pairs of one person": same, "pairs of two": len(pairs.same) - same}
            check_counts(name, counts, _PUBLISHED[name])
        return pairs


def _indexed(
    pairs: PairFile, index: dict[str, int]
) -> tuple[Int[Tensor, "p 2"], Bool[Tensor, "p"]]:
    both = [(index[one], index[two]) for one, two in zip(pairs.first, pairs.second, strict=True)]
    return torch.tensor(both), torch.from_numpy(pairs.same)


def _folds(pairs: PairFile) -> list[Int[Tensor, "p"]]:
    return [] if pairs.folds is None else [torch.from_numpy(pairs.folds)]
