"""Real images with graded relevance and without a download: the same digit in a near pose."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from ranklight.datamodules.digits.poses import PosedDigits, numbers_of_scenes, posed_splits
from ranklight.datamodules.randomness import uniform
from ranklight.datamodules.relevance import GradedByAttributes
from ranklight.datamodules.samplers import RelevanceTriplets, Rule
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.distributed import rank_and_world_size

_TRIPLETS = 4
_PER_QUERY = 40

Pair = tuple[int, int]


class DigitRelevance(SplitData):
    """The same digit in a near pose is most relevant, in a far pose less, another digit not at all.

    The scenes of `DigitPoses`, made from the same digits in the same five splits; the label is the
    digit and then the pose, float32 of six columns, and `GradedByAttributes(same_class, length)`
    says how relevant two labels are. **Validation and test have two loaders, [queries, gallery]**,
    and triplets of their own (`triplets`) for the callback `TripletPrecision`.

    Batches are those of `RelevanceTriplets`, with digits as classes.

    Args:
        triplets_per_batch: Triplets in the global batch, that of all ranks together.
        buffer_size: Images in the sampler's buffer of a digit.
        out_of_class: Share of triplets whose negative is another digit.
        margin: By how much a negative of the same digit is less relevant than the positive.
        weighted: Draw by relevance; False: uniformly.
        corrected: Correct the sampler for the finite buffer; False: the paper's rule.
        batches_per_epoch: Length of an epoch; by default images // (3 × triplets_per_batch).
        same_class: Relevance of the same digit in a far pose.
        length: Distance of poses, in units of the label, at which relevance has fallen to 37 %.
        train_scenes: Number of scenes for training.
        val_scenes: Number of queries, and of images in the gallery, of validation.
        test_scenes: The same of test.
        position_weight: Label units a half of the scene's side.
        angle_weight: Radius of the circle on which the angle is.
        scale_weight: Label units a factor e in size.
        max_angle: Largest turn in degrees.
        seed: Of the split, the poses and the triplets of validation and test.
        train_seed: Of the batches, and of clutter and noise in training; None is 0. Runs that
            differ in it alone are validated and tested on the same images.
        eval_batch_size: Scenes in a batch of validation and test.
        num_workers: Processes that draw scenes; 0 is fast enough.
        pin_memory: Put batches in page-locked memory, for faster copies to a GPU.

    Attributes:
        split_hash: Names which digit is in which split.

    Raises:
        ValueError: A number of scenes below 1.
    """

    train: PosedDigits
    val: list[PosedDigits]
    test: list[PosedDigits]

    def __init__(
        self,
        triplets_per_batch: int = 21,
        buffer_size: int = 100,
        out_of_class: float = 0.2,
        margin: float = 0.1,
        weighted: bool = True,
        corrected: bool = True,
        batches_per_epoch: int | None = None,
        same_class: float = 0.2,
        length: float = 0.5,
        train_scenes: int = 4000,
        val_scenes: Pair = (200, 1000),
        test_scenes: Pair = (500, 2000),
        position_weight: float = 1.0,
        angle_weight: float = 0.5,
        scale_weight: float = 1.0,
        max_angle: float = 90.0,
        seed: int = 0,
        train_seed: int | None = None,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.triplets_per_batch = triplets_per_batch
        self.buffer_size = buffer_size
        self.rule = Rule(out_of_class, margin, weighted=weighted, corrected=corrected)
        self.batches_per_epoch = batches_per_epoch
        self.relevance = GradedByAttributes(same_class, length)
        self.scenes = numbers_of_scenes(train_scenes, val_scenes, test_scenes)
        self.weights = (position_weight, angle_weight, scale_weight)
        self.max_angle = max_angle
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def setup(self, stage: str | None = None) -> None:
        """Split the digits and pose them; for training add up how relevant the scenes are."""
        splits, self.split_hash = posed_splits(
            self.scenes, self.weights, self.max_angle, self.seed, self.train_seed, True
        )
        self.train, self.val, self.test = splits[0], splits[1:3], splits[3:]
        if stage in (None, "fit"):
            rank, world_size = rank_and_world_size()
            self.train_sampler = RelevanceTriplets(
                self.train.labels[:, 0].long(),
                self.relevance.of_pairs(self.train.labels),
                self.triplets_per_batch,
                self.buffer_size,
                self.rule,
                batches_per_epoch=self.batches_per_epoch,
                seed=self.train_seed,
                rank=rank,
                world_size=world_size,
            )

    def triplets(self, stage: Literal["val", "test"]) -> Int[Tensor, "t 3"]:
        """Queries with a more and a less relevant image of the gallery, by index, always the same.

        Of 40 random pairs a query, one of the two always being its digit and the other one half of
        the time, those that differ in relevance by 0.1 or more.
        """
        queries, gallery = self.val if stage == "val" else self.test
        each = np.arange(len(queries))[:, None, None]
        pairs = np.arange(_PER_QUERY)[:, None]
        draws = uniform(self.seed, _TRIPLETS, each, pairs, np.arange(3))
        relevance = self.relevance(queries.labels, gallery.labels)
        return _ordered_triplets(queries, gallery, relevance, draws)


def _ordered_triplets(
    queries: PosedDigits,
    gallery: PosedDigits,
    relevance: Float[Tensor, "n m"],
    draws: Float[np.ndarray, "n p 3"],
) -> Int[Tensor, "t 3"]:
    same = (queries.labels[:, None, 0] == gallery.labels[:, 0]).numpy()
    by_class = np.argsort(~same, axis=1, kind="stable")
    number = same.sum(1)[:, None]
    first = _pick(by_class, draws[..., 0] * number)
    anything = np.where(draws[..., 2] < 0.5, number * draws[..., 1], same.shape[1] * draws[..., 1])
    pair = torch.from_numpy(np.stack([first, _pick(by_class, anything)], 2))
    graded = relevance.gather(1, pair.flatten(1)).view(pair.shape)
    pair = pair.gather(2, graded.argsort(2, descending=True))
    query, place = ((graded[..., 0] - graded[..., 1]).abs() >= 0.1).nonzero(as_tuple=True)
    found = pair[query, place]
    columns = [queries.index[query], gallery.index[found[:, 0]], gallery.index[found[:, 1]]]
    return torch.stack(columns, 1)


def _pick(order: NDArray[np.int64], place: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.take_along_axis(order, place.astype(np.int64), 1)
