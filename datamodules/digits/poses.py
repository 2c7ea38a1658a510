"""Real images with continuous labels and without a download: where is the digit, and how turned?"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from ranklight.datamodules.batch import Batch
from ranklight.datamodules.digits.drawing import drawn, handwritten_digits, window
from ranklight.datamodules.loaders import (
    Key,
    epochs_and_places,
    split_hash,
)
from ranklight.datamodules.randomness import image_seed, random_bits, uniform
from ranklight.datamodules.samplers import NearestLabels
from ranklight.datamodules.samplers.label_neighbours import label_neighbours
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.distributed import rank_and_world_size

_SCENE, _UNIT, _FRAGMENTS = 48, 16, 8
_EVALUATION_DIGITS = 200
_POSE = 3

Pair = tuple[int, int]


class PosedDigits(Dataset[Batch]):
    """Each scene shows one digit, 48×48 pixels, labelled with its pose whatever digit it is.

    Scene i shows digit i mod (number of digits), turned by an angle uniform within ±`max_angle`, at
    0.35 to 0.7 of the scene's side (log-uniform), its centre uniform over where it is inside when
    upright. The pose follows from (seed, index) alone and never changes. Eight 4×4 fragments of
    digits *of the same split* lie about, turned too, 5 to 8 pixels wide, the lighter pixel winning;
    normal noise of standard deviation 0.1 is added, and the result cut off at 0 and 1. Clutter and
    noise follow from (drawing_seed, epoch, index) in training, from (seed, index) in evaluation.

    The label is (p·x, p·y, a·cos φ, a·sin φ, s·log size): x and y from −1 to 1 over the scene, φ
    the turn, size the digit's side over the scene's; p, a and s are `weights`. So the Euclidean
    distance of two labels is that of their poses.

    Args:
        digits: Grey levels in 0..1 of the digits of this split.
        classes: Which digit each is.
        index: The number of each scene.
        weights: Of position, angle and log size.
        max_angle: In degrees.
        seed: Another seed is other poses.
        drawing_seed: Another one draws clutter and noise otherwise in training.
        label_digit: Put the digit, 0..9, in front of the pose in the label.

    Attributes:
        labels: One row a scene.
    """

    def __init__(
        self,
        digits: Float[Tensor, "digits 8 8"],
        classes: Int[Tensor, " digits"],
        index: Int[np.ndarray, "n"],
        weights: tuple[float, float, float],
        max_angle: float,
        seed: int,
        drawing_seed: int,
        label_digit: bool = False,
    ) -> None:
        self.digits = digits
        self.index = torch.from_numpy(index)
        self.seed = seed
        self.drawing_seed = drawing_seed
        draws = torch.from_numpy(uniform(seed, _POSE, index[:, None], np.arange(4))).float()
        self.size = 0.35 * 2 ** draws[:, 0]
        self.centre = (2 * draws[:, 1:3] - 1) * (1 - self.size[:, None])
        self.angle = (2 * draws[:, 3] - 1) * math.radians(max_angle)
        self.sources = torch.arange(len(index)) % len(digits)
        position, angle, scale = weights
        turn = angle * torch.stack([self.angle.cos(), self.angle.sin()], 1)
        pose = [position * self.centre, turn, scale * self.size.log()[:, None]]
        shown = [classes[self.sources, None].float()] if label_digit else []
        self.labels = torch.cat([*shown, *pose], 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """The scenes of (epoch, place) in training, of places in evaluation."""
        epochs, places = epochs_and_places(keys)
        index = self.index[places]
        draws = [
            torch.Generator().manual_seed(self._drawing(epoch, number))
            for epoch, number in zip(epochs, index.tolist(), strict=True)
        ]
        clutter = torch.stack([torch.rand(_FRAGMENTS, 7, generator=draw) for draw in draws])
        noise = torch.stack([torch.randn(_SCENE, _SCENE, generator=draw) for draw in draws])
        scenes = torch.maximum(_fragments(self.digits, clutter), self._targets(places))
        images = scenes.add_(noise, alpha=0.1).clamp_(0, 1).unsqueeze(1)
        return Batch(images, self.labels[places], index)

    def _drawing(self, epoch: int | None, index: int) -> int:
        return image_seed(self.seed if epoch is None else self.drawing_seed, epoch, index)

    def _targets(self, places: list[int]) -> Float[Tensor, "n 48 48"]:
        centre = self.centre[places]
        axis = (torch.arange(_SCENE) + 0.5) / (_SCENE / 2) - 1
        across, down = axis - centre[:, :1], axis - centre[:, 1:]
        middle = torch.zeros(len(places), 2)
        digits = self.digits[self.sources[places]]
        return drawn(digits, across, down, self.angle[places], self.size[places], middle)


class DigitPoses(SplitData):
    """Scenes with a handwritten digit in some pose; near are scenes of a near pose.

    The 1,797 digits come with scikit-learn (Alpaydin, Kaynak, UCI repository, 1998), so nothing is
    downloaded. 200 digits each are for the queries and the gallery of validation and of test, the
    other 997 for training: no digit is in two of the five. `PosedDigits` says how scenes are made
    and what their labels are, float32 of five columns. **Validation and test have two loaders,
    [queries, gallery]**: a query is looked for in the gallery, and is not in it.

    With the default weights a label distance of 0.1 is a step of 2.4 pixels, a turn of 11° or 10 %
    in size. Over the data the variance of the label is about 0.16 from position, 0.15 from angle
    and 0.04 from size.

    Batches are those of `NearestLabels`: an image, the nearest by label, and random ones.

    Args:
        batch_size: Images in the global batch, that of all ranks together.
        anchors: How many of them are anchors; each image is one once an epoch.
        neighbours: How many nearest images each anchor brings; 0 makes the batch random.
        train_scenes: Number of scenes for training.
        val_scenes: Number of queries, and of images in the gallery, of validation.
        test_scenes: The same of test.
        position_weight: Label units a half of the scene's side.
        angle_weight: Radius of the circle on which the angle is.
        scale_weight: Label units a factor e in size.
        max_angle: Largest turn in degrees. Beyond 90 a digit like 0 looks as it does turned back.
        seed: Of the split and the poses.
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
        batch_size: int = 64,
        anchors: int = 1,
        neighbours: int = 5,
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
        self.scenes = numbers_of_scenes(train_scenes, val_scenes, test_scenes)
        self.batch_size = batch_size
        self.anchors = anchors
        self.neighbours = neighbours
        self.weights = (position_weight, angle_weight, scale_weight)
        self.max_angle = max_angle
        self.seed = seed
        self.train_seed = train_seed or 0
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory

    def setup(self, stage: str | None = None) -> None:
        """Split the digits, pose them, and for training find each scene's nearest.

        Raises:
            ValueError: Fewer training scenes than a batch.
        """
        splits, self.split_hash = posed_splits(
            self.scenes, self.weights, self.max_angle, self.seed, self.train_seed
        )
        self.train, self.val, self.test = splits[0], splits[1:3], splits[3:]
        if stage in (None, "fit"):
            self.train_sampler = NearestLabels(
                len(self.train),
                label_neighbours(self.train.labels, self.neighbours).index,
                self.batch_size,
                self.anchors,
                self.train_seed,
                *rank_and_world_size(),
            )


def numbers_of_scenes(train: int, val: Pair, test: Pair) -> tuple[int, ...]:
    """Of training, and of queries and gallery of validation and of test.

    Raises:
        ValueError: One of them is below 1.
    """
    scenes = (train, *val, *test)
    if min(scenes) < 1:
        raise ValueError(
            "train_scenes, val_scenes and test_scenes must be at least 1; got "
            f"{train}, {val} and {test}"
        )
    return scenes


def posed_splits(
    scenes: tuple[int, ...],
    weights: tuple[float, float, float],
    max_angle: float,
    seed: int,
    train_seed: int,
    label_digit: bool = False,
) -> tuple[list[PosedDigits], str]:
    """Training, then queries and gallery of validation and of test, each of other digits.

    Returns:
        The five splits, and a name of which digit is in which.
    """
    digits, classes = handwritten_digits()
    order = np.argsort(random_bits(seed, np.arange(len(digits))), kind="stable")
    first = len(digits) - 4 * _EVALUATION_DIGITS
    members = np.split(order, first + _EVALUATION_DIGITS * np.arange(4))
    splits = [
        PosedDigits(
            digits[sources],
            classes[sources],
            np.arange(last - several, last),
            weights,
            max_angle,
            seed,
            train_seed,
            label_digit,
        )
        for sources, several, last in zip(members, scenes, np.cumsum(scenes), strict=True)
    ]
    return splits, split_hash(*members)


def _fragments(
    digits: Float[Tensor, "digits 8 8"], uniform: Float[Tensor, "n f 7"]
) -> Float[Tensor, "n 48 48"]:
    """4×4 parts of digits are drawn into small patches, which are then laid into the scenes."""
    scenes, flat = len(uniform), uniform.flatten(0, 1)
    size = 0.3 + 0.2 * flat[:, 0]
    angle = (2 * flat[:, 3] - 1) * (math.pi / 4)
    corner = (flat[:, 4:6] * 5).long()
    sources = digits[(flat[:, 6] * len(digits)).long()]
    centre = flat[:, 1:3] * _SCENE
    at = (torch.arange(_UNIT) + 0.5 - _UNIT / 2 - centre.frac()[..., None]) / _UNIT
    middle = (corner + 2) / 4 - 1
    patches = drawn(window(sources, corner), at[:, 0], at[:, 1], angle, size, middle)
    side, steps = _SCENE + _UNIT, torch.arange(_UNIT)
    inside = (steps[:, None] * side + steps).flatten()
    places = (centre[:, 1].long() * side + centre[:, 0].long())[:, None] + inside
    canvas = torch.zeros(scenes, side * side)
    canvas.scatter_reduce_(1, places.view(scenes, -1), patches.view(scenes, -1), "amax")
    inner = slice(_UNIT // 2, _UNIT // 2 + _SCENE)
    return canvas.view(-1, side, side)[:, inner, inner].clone()
