"""Real images with continuous labels and without a download: where is the digit, and how turned?"""

from typing import Any

from ranklight.datamodules.digits.posed import Pair, PosedDigits, posed_splits, scene_counts
from ranklight.datamodules.samplers import NearestLabels
from ranklight.datamodules.samplers.label_neighbours import label_neighbours
from ranklight.datamodules.split_data import SplitData
from ranklight.kernels.distributed import rank_and_world_size


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
        num_workers: Processes that draw scenes; 0 is fast enough.
        **options: Of `SplitData`: seeds and loaders.

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
        num_workers: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(num_workers=num_workers, **options)
        self.scenes = scene_counts(train_scenes, val_scenes, test_scenes)
        self.batch_size = batch_size
        self.anchors = anchors
        self.neighbours = neighbours
        self.weights = (position_weight, angle_weight, scale_weight)
        self.max_angle = max_angle

    def setup(self, stage: str | None = None) -> None:
        """Split the digits, pose them, and for training find each scene's nearest.

        Raises:
            ValueError: Fewer training scenes than a batch.
        """
        splits, self.split_hash = posed_splits(
            self.scenes, self.weights, self.max_angle, self.split_seed, self.seed
        )
        self.train, self.val, self.test = splits[0], splits[1:3], splits[3:]
        if stage in (None, "fit"):
            self.train_sampler = NearestLabels(
                len(self.train),
                label_neighbours(self.train.labels, self.neighbours).index,
                self.batch_size,
                self.anchors,
                self.seed,
                *rank_and_world_size(),
            )
