"""Every key of the data modules does what it says, given on the command line.

A row of a table is one command, with the keys that can be seen apart; a `Turn` says of each what it
changes. Nothing is trained: the data module is set up, and its splits and batches are looked at.
"""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningDataModule
from scipy.io import savemat

from ranklight import datamodules
from ranklight.datamodules import Mining, evaluation_loader
from ranklight.datamodules.batches import Batches
from ranklight.datamodules.class_data import ClassData
from ranklight.datamodules.evaluation_data import EvaluationData
from ranklight.datamodules.multi_label_data import MultiLabelData
from ranklight.datamodules.query_gallery_data import QueryGalleryData
from ranklight.datamodules.split_data import SplitData
from tests.commands.command_line import CommandLine, Refusal, keys, part
from tests.trees import TREES, image_folder, in_shop, picture, write

ABSTRACT = {SplitData, ClassData, MultiLabelData, EvaluationData, QueryGalleryData}


class Turn(NamedTuple):
    """A key, another value than the base's, and what is seen of both data modules."""

    key: str
    value: Any
    sees: Callable[[Any, Any], None]


def first(loader):
    return next(iter(loader))


def first_trained(data):
    """The first batch of the first epoch; the module is left there, for the next look."""
    batch = first(data.train_dataloader())
    data.train_sampler.progress.position = 0
    return batch


def batches(data):
    """The positions of the first epoch's batches, as the sampler draws them."""
    sampler = data.train_sampler
    return sampler.batches(0, 0, len(sampler)).tolist()


def each(split):
    return split if isinstance(split, list) else [split]


def loaders(data):
    return [data.train_dataloader(), *each(data.val_dataloader()), *each(data.test_dataloader())]


def other_split(base, turned):
    assert base.split_hash != turned.split_hash


def other_batches(base, turned):
    assert base.split_hash == turned.split_hash
    assert batches(base) != batches(turned)


def evaluates_one_at_once(base, turned):
    for loader in loaders(turned)[1:]:
        assert len(first(evaluation_loader(loader.dataset, loader.batch_size)).index) == 1
    assert len(first(loaders(base)[-1]).index) > 1


def one_worker(base, turned):
    assert [loader.num_workers for loader in loaders(turned)] == [1] * len(loaders(turned))
    assert base.train_dataloader().num_workers == 0


def pinned(base, turned):
    assert all(loader.pin_memory for loader in loaders(turned))
    assert not base.train_dataloader().pin_memory


def images_of_side(side):
    def sees(base, turned):
        for dataset, places in ((turned.train, [(0, 0)]), (each(turned.val)[0], [0])):
            assert dataset.__getitems__(places).images.shape[2:] == (side, side)
        assert first_trained(base).images.shape[2] != side

    return sees


def other_pixels(base, turned):
    """Of the same images in evaluation."""
    one, other = (first(each(data.val_dataloader())[0]) for data in (base, turned))
    assert torch.equal(one.index, other.index)
    assert one.images.shape == other.images.shape
    assert not torch.equal(one.images, other.images)


def other_training_pixels(base, turned):
    one, other = (first_trained(data) for data in (base, turned))
    assert torch.equal(one.index, other.index)
    assert not torch.equal(one.images, other.images)


def batch_of(count):
    def sees(base, turned):
        assert len(batches(turned)[0]) == count != len(batches(base)[0])

    return sees


def classes_in_a_batch(count):
    def sees(base, turned):
        found = [len(set(data.train.labels[batches(data)[0]].tolist())) for data in (base, turned)]
        assert found[1] == count != found[0]

    return sees


def images_of_a_class(count):
    def sees(base, turned):
        found = [data.train.labels[batches(data)[0]].bincount().max() for data in (base, turned)]
        assert found[1] == count != found[0]

    return sees


def epoch_of(count):
    def sees(base, turned):
        assert len(batches(turned)) == count != len(batches(base))

    return sees


def images(split, count):
    """How many images a split has, or its queries and gallery have."""

    def sees(base, turned):
        found = [[len(part) for part in each(getattr(data, split))] for data in (base, turned)]
        assert found[1] == count != found[0]

    return sees


def more_validation(base, turned):
    sizes = [sum(len(part) for part in each(data.val)) for data in (base, turned)]
    assert sizes[0] < sizes[1]


def half_in_validation(base, turned):
    """Of the same images as before, half or nearly are in validation."""
    known, again = (
        np.concatenate([split.indices for split in (data.train, *each(data.val))])
        for data in (base, turned)
    )
    assert sorted(known) == sorted(again)
    assert len(known) / 3 <= len(turned.val) <= len(known) * 2 / 3


def thinned_out(base, turned):
    kept = set(turned.train.indices.tolist())
    assert kept < set(base.train.indices.tolist())
    counts = turned.train.labels.bincount()
    assert counts[counts > 0].min() < counts.max()


def in_steps(base, turned):
    """Half of the classes keep all images; of a slope only one or two would."""
    before, after = (data.train.labels.bincount(minlength=200) for data in (base, turned))
    there = before > 0
    assert (before == after)[there].sum() == -(-there.sum() // 2)


def other_validation(base, turned):
    assert set(base.val.indices.tolist()) != set(turned.val.indices.tolist())
    assert torch.equal(base.test.indices, turned.test.indices)


def nothing_published(base, turned):
    """There is no published validation split to leave."""
    assert base.published.get("val") is None
    assert base.split_hash == turned.split_hash


def columns(first, last, factor):
    """Some columns of the labels are the base's times a factor; an angle's two are a radius."""

    def sees(base, turned):
        before, after = (data.train.labels[:, first:last].norm(dim=1) for data in (base, turned))
        torch.testing.assert_close(after, factor * before)
        assert before.any()

    return sees


def one_less(base, turned):
    assert len(base.train) + len(base.val) == len(turned.train) + len(turned.val) + 1


def refused(*words):
    def sees(base, turned):
        assert isinstance(turned, Refusal)
        for word in words:
            assert word in turned.words

    return sees


LOADERS = [
    Turn("split_seed", 5, other_split),
    Turn("eval_batch_size", 1, evaluates_one_at_once),
    Turn("num_workers", 1, one_worker),
    Turn("pin_memory", True, pinned),
]
SEED = [Turn("seed", 5, other_batches)]
PICTURES = {"image_size": 16, "num_workers": 0}
FILES = {**PICTURES, "resize": 24}
BALANCED = {"classes_per_batch": 2, "samples_per_class": 1}
SHUFFLED = [
    Turn("batch_size", 3, batch_of(3)),
    Turn("classes_per_batch", None, batch_of(3)),
    Turn("samples_per_class", None, batch_of(3)),
]
BY_WEIGHT = Turn(
    "batches",
    part("ranklight.datamodules.WeightedPxK", classes_per_batch=3, samples_per_class=1),
    batch_of(3),
)
OTHER_BATCHES = [
    BY_WEIGHT,
    Turn("classes_per_batch", None, batch_of(3)),
    Turn("samples_per_class", None, batch_of(3)),
]
LONG_TAIL = [Turn("imbalance_ratio", 3, thinned_out), Turn("imbalance_shape", "step", in_steps)]
POSED = {"train_scenes": 60, "val_scenes": [6, 20], "test_scenes": [7, 30]}
SCENES = [
    Turn("train_scenes", 50, images("train", [50])),
    Turn("val_scenes", [5, 20], images("val", [5, 20])),
    Turn("test_scenes", [7, 31], images("test", [7, 31])),
]


def poses(first):
    """Of labels whose pose begins at this column; the angle's two are a radius."""
    return [
        Turn("position_weight", 2.0, columns(first, first + 2, 2)),
        Turn("angle_weight", 1.5, columns(first + 2, first + 4, 3)),
        Turn("scale_weight", 4.0, columns(first + 4, first + 5, 4)),
    ]


def smaller_angles(base, turned):
    cosines = [data.train.labels[:, -3] for data in (base, turned)]
    assert cosines[0].min() < 0.4 < 0.5 * 0.86 < cosines[1].min()


def nearest_follow(count):
    """Behind the anchor as many of its nearest as said, and then others."""

    def sees(base, turned):
        for data, known in ((base, 5), (turned, count)):
            labels = data.train.labels.reshape(len(data.train), -1).float()
            anchor, *others = batches(data)[0]
            distance = (labels - labels[anchor]).norm(dim=1)
            nearest = distance.argsort()[1 : known + 1]
            torch.testing.assert_close(distance[others[:known]], distance[nearest])
        assert [one[1 + count] for one in batches(base)] != [
            one[1 + count] for one in batches(turned)
        ]

    return sees


def of_seen_classes(base, turned):
    seen = [set(data.train.labels.tolist()) for data in (base, turned)]
    val = [set(data.val.labels.tolist()) for data in (base, turned)]
    assert [each <= known for each, known in zip(val, seen, strict=True)].count(True) == 1


FOLD = [Turn("fold", [1, 2], half_in_validation)]
NOWHERE = [Turn("root", "nowhere", refused("nowhere"))]
IMAGE_SIZE = Turn("image_size", 24, images_of_side(24))
RESIZE = Turn("resize", 32, other_pixels)
WIDE = [
    part("torchvision.transforms.v2.Resize", size=[224, 224]),
    part("torchvision.transforms.v2.RandomInvert", p=1.0),
]
INVERTED = [
    part("torchvision.transforms.v2.Resize", size=[16, 16]),
    part("torchvision.transforms.v2.RandomInvert", p=1.0),
]
TRANSFORMS = [
    Turn("train_transforms", INVERTED, other_training_pixels),
    Turn("eval_transforms", INVERTED, other_pixels),
]
OF_PICTURES = [
    [IMAGE_SIZE],
    [RESIZE],
    [*TRANSFORMS, Turn("resize", None, other_pixels)],
    [Turn("background", [0, 0, 256], refused("three numbers of 0..255"))],
]
OF_WHOLE_PICTURES = [
    [IMAGE_SIZE],
    [Turn("resize", 32, refused("changes nothing"))],
    TRANSFORMS,
    OF_PICTURES[-1],
]
PUBLISHED = [
    LOADERS,
    [*SEED, IMAGE_SIZE],
    NOWHERE,
    [Turn("check_counts", True, refused("was published"))],
    [Turn("validation_fraction", 0.5, more_validation)],
    FOLD,
]
CLASSES = [
    *PUBLISHED,
    *OF_PICTURES[2:],
    [*SHUFFLED, RESIZE],
    OTHER_BATCHES,
    [
        Turn("classes_per_batch", 3, classes_in_a_batch(3)),
        Turn("samples_per_class", 2, images_of_a_class(2)),
    ],
    LONG_TAIL,
]
WITHOUT_VALIDATION = [*CLASSES, [Turn("official_validation", False, nothing_published)]]
WITH_VALIDATION = [*CLASSES, [Turn("official_validation", True, other_validation)]]
LABELS = [
    *PUBLISHED,
    *OF_WHOLE_PICTURES[1:],
    [Turn("batch_size", 2, batch_of(2))],
    [Turn("unlabelled", "drop", one_less)],
]


def protocol(name):
    def sees(base, turned):
        assert base.split_hash != turned.split_hash
        apart = [
            set(data.train.labels.tolist()).isdisjoint(data.test.labels.tolist())
            for data in (base, turned)
        ]
        assert apart == ([False, True] if name == "retrieval" else [True, False])

    return [Turn("protocol", name, sees)]


def difficult(wanted):
    def sees(base, turned):
        shown = [torch.cat([data.train.labels, data.val.labels]) for data in (base, turned)]
        assert (shown[0] == -1).sum() == 1
        assert shown[1].sum() - shown[0].sum() == 1 + wanted
        assert (shown[1] >= 0).all()

    return sees


def no_short_class(base, turned):
    sizes = turned.train.labels.bincount()
    drawn = [set(data.train.labels[np.ravel(batches(data))].tolist()) for data in (base, turned)]
    assert min(sizes[list(drawn[1])]) >= 4 > min(sizes[list(drawn[0])])


def fewer_test_classes(base, turned):
    assert [len(set(data.test.labels.tolist())) for data in (base, turned)] == [4, 2]


def one_column(base, turned):
    assert torch.equal(turned.train.labels, base.train.labels[:, :1])


def shuffled(batch_size):
    return part("ranklight.datamodules.ShuffledBatches", batch_size=batch_size)


def two_columns(base, turned):
    assert base.train.labels.ndim == 1
    assert turned.train.labels.shape[1] == turned.num_classes == len(turned.class_names) > 2


def groups_apart(base, turned):
    apart = [
        set(data.train.groups.tolist()).isdisjoint(data.test.groups.tolist())
        for data in (base, turned)
    ]
    assert apart == [False, True]


def in_boxes(base, turned):
    assert [data.train.boxes is None for data in (base, turned)] == [True, False]
    other_pixels(base, turned)


def with_another_landmark(base, turned):
    assert {*turned.class_names} - {*base.class_names} == {"7"}


def of_tested(looked_at, before, after):
    """What is seen of the last test loader, and of what it yields first."""

    def sees(base, turned):
        found = [
            looked_at(loader, first(loader))
            for loader in (each(data.test_dataloader())[-1] for data in (base, turned))
        ]
        assert found == [before, after]

    return sees


def other_tested_pixels(base, turned):
    one, other = (first(each(data.test_dataloader())[0]) for data in (base, turned))
    assert torch.equal(one.index, other.index)
    assert not torch.equal(one.images, other.images)


def fewer_pairs(stage):
    def sees(base, turned):
        assert [len(data.pairs(stage)[1]) for data in (base, turned)] == [4, 2]

    return sees


def other_city(base, turned):
    shown = [{*data.test[1].files} for data in (base, turned)]
    assert shown[0].isdisjoint(shown[1])


def super_classes_in_a_batch(count):
    def sees(base, turned):
        found = [
            len(data.train.levels["super_class"][batches(data)[0]].unique())
            for data in (base, turned)
        ]
        assert found == [1, count]

    return sees


def mined(**expected):
    def sees(base, turned):
        mining = turned.train_sampler.mining
        assert mining == Mining(**expected) != base.train_sampler.mining

    return sees


def once_lists_are_there(base, turned):
    """Batches differ by which images are hard: those of the next class, and of the one after."""
    other_lists = []
    for data in (base, turned):
        labels = data.train.labels
        classes = labels.unique().tolist()
        further = [
            (classes.index(label) + step) % len(classes) for label in labels for step in (1, 2)
        ]
        found = [int((labels == classes[of]).nonzero()[0]) for of in further]
        data.train_sampler.take_lists(torch.tensor(found).reshape(len(labels), 2))
        other_lists.append(batches(data))
    assert other_lists[0] != other_lists[1]


def kept_in(folder):
    def sees(base, turned):
        assert any(Path(folder).iterdir())

    return sees


QUERIES = [
    *PUBLISHED,
    *OF_PICTURES[2:],
    [BY_WEIGHT, RESIZE],
    [
        Turn("classes_per_batch", 3, classes_in_a_batch(3)),
        Turn("samples_per_class", 2, images_of_a_class(2)),
    ],
]
FACES = {**FILES, **BALANCED, "root": "faces"}
TRAINED_ELSEWHERE = {
    **FILES,
    "check_counts": False,
    "training": part("ranklight.datamodules.ImageFolder", **FACES),
}
EVALUATED = [
    NOWHERE,
    SEED,
    [Turn("check_counts", True, refused("was published"))],
    [
        Turn("eval_batch_size", 1, of_tested(lambda _, batch: len(batch.index) > 1, True, False)),
        Turn("num_workers", 1, of_tested(lambda loader, _: loader.num_workers, 0, 1)),
        Turn("pin_memory", True, of_tested(lambda loader, _: loader.pin_memory, False, True)),
        Turn("image_size", 24, of_tested(lambda _, batch: batch.images.shape[2], 16, 24)),
    ],
    [Turn("resize", 32, other_tested_pixels)],
    [
        Turn("eval_transforms", INVERTED, other_tested_pixels),
        Turn("resize", None, other_tested_pixels),
    ],
    OF_PICTURES[-1],
    [Turn("split_seed", 5, refused("split_seed of", "changes nothing", "training"))],
    [Turn("train_transforms", INVERTED, refused("train_transforms of", "changes nothing"))],
    [Turn("training", None, refused("no images to train on"))],
]
AMONG_ANCHORS = [
    [Turn("batch_size", 9, batch_of(9))],
    [Turn("neighbours", 3, nearest_follow(3))],
]
SUBJECTS = {
    "Digits": (
        BALANCED,
        [
            LOADERS,
            SEED,
            [BY_WEIGHT],
            [Turn("validation", "class_disjoint", of_seen_classes)],
            FOLD,
            [
                Turn("classes_per_batch", 3, classes_in_a_batch(3)),
                Turn("samples_per_class", 4, images_of_a_class(4)),
                Turn("validation_fraction", 0.5, more_validation),
            ],
        ],
    ),
    "DigitClasses": (
        BALANCED,
        [
            LOADERS,
            SEED,
            SHUFFLED,
            OTHER_BATCHES,
            [
                Turn("classes_per_batch", 3, classes_in_a_batch(3)),
                Turn("samples_per_class", 4, images_of_a_class(4)),
            ],
            LONG_TAIL,
        ],
    ),
    "DigitPoses": (
        {**POSED, "batch_size": 12},
        [
            LOADERS,
            SEED,
            [*SCENES, Turn("batch_size", 9, batch_of(9))],
            [*poses(0), Turn("anchors", 2, epoch_of(30))],
            [Turn("max_angle", 30.0, smaller_angles)],
            [Turn("neighbours", 3, nearest_follow(3))],
        ],
    ),
    "DigitRelevance": (
        {**POSED, "triplets_per_batch": 4, "batches_per_epoch": 3},
        [
            LOADERS,
            SEED,
            [
                *SCENES,
                Turn("triplets_per_batch", 5, batch_of(15)),
                Turn("batches_per_epoch", 2, epoch_of(2)),
            ],
            poses(1),
            [Turn("max_angle", 30.0, smaller_angles)],
            [Turn("buffer_size", 2, other_batches)],
            [Turn("out_of_class", 0.9, other_batches)],
            [Turn("margin", 0.5, other_batches)],
            [Turn("weighted", False, other_batches)],
            [Turn("corrected", False, other_batches)],
            [Turn("same_class", 0.6, other_batches)],
            [Turn("length", 0.1, other_batches)],
        ],
    ),
    "DigitScenes": (
        {"batch_size": 4, "train_scenes": 20, "val_scenes": 10, "test_scenes": 10},
        [
            LOADERS,
            SEED,
            [
                Turn("batch_size", 5, batch_of(5)),
                Turn("train_scenes", 30, images("train", [30])),
                Turn("val_scenes", 12, images("val", [12])),
                Turn("test_scenes", 13, images("test", [13])),
                Turn("size", 48, images_of_side(48)),
            ],
        ],
    ),
    "ImageFolder": (
        {**FILES, **BALANCED},
        [
            LOADERS,
            SEED,
            NOWHERE,
            *OF_PICTURES,
            [BY_WEIGHT],
            [
                Turn("classes_per_batch", 1, classes_in_a_batch(1)),
                Turn("samples_per_class", 3, images_of_a_class(3)),
                Turn("batches_per_epoch", 7, epoch_of(7)),
            ],
            [
                Turn("classes_per_batch", 1, classes_in_a_batch(1)),
                Turn("samples_per_class", 4, images_of_a_class(4)),
                Turn("short_classes", "drop", no_short_class),
            ],
            [
                Turn("samples_per_class", 4, refused("samples_per_class is 4")),
                Turn("short_classes", "error", refused("have fewer images")),
            ],
            [Turn("test_fraction", 0.25, fewer_test_classes)],
            [Turn("validation", "image_disjoint", of_seen_classes)],
            [Turn("validation_fraction", 0.5, more_validation)],
            FOLD,
        ],
    ),
    "ImageTable": (
        {**FILES, "batches": shuffled(4)},
        [
            LOADERS,
            SEED,
            *OF_PICTURES,
            [Turn("table", "nowhere.csv", refused("nowhere.csv does not exist"))],
            [Turn("root", "nowhere", refused("do not exist, first nowhere"))],
            [Turn("image", "picture", refused("no column picture"))],
            [Turn("split", "part", refused("no column part"))],
            [Turn("role", "part", refused("no column part"))],
            [Turn("group", "part", refused("no column part"))],
            [Turn("box", ["age", "weight", "label", "labels"], refused("which is no number"))],
            [
                Turn("labels", part("ranklight.datamodules.LabelSet"), two_columns),
                Turn("resize", None, two_columns),
            ],
            [Turn("batches", shuffled(5), batch_of(5))],
            [Turn("hold_out", "group", groups_apart)],
            [Turn("test_fraction", 0.5, images("test", [20]))],
            [Turn("validation_fraction", 0.5, more_validation)],
            [Turn("fold", [1, 2], refused("2 folds of 30 images in 3 classes"))],
            [Turn("query_fraction", 0.5, images("test", [5, 5]))],
        ],
    ),
    "RegressionTable": (
        {
            **FILES,
            "table": "RegressionTable/table.csv",
            "labels": ["age", "weight"],
            "batch_size": 8,
        },
        [
            LOADERS,
            SEED,
            [Turn("table", "nowhere.csv", refused("nowhere.csv does not exist"))],
            [Turn("root", "nowhere", refused("do not exist, first nowhere"))],
            [Turn("image", "picture", refused("no column picture"))],
            [Turn("split", "part", refused("no column part"))],
            [Turn("labels", ["age"], one_column)],
            [
                Turn("weights", [1.0, 3.0], columns(1, 2, 3)),
                Turn("cache_dir", "lists", kept_in("lists")),
            ],
            [Turn("lists", "nowhere.npz", refused("nowhere.npz"))],
            [Turn("batch_size", 7, batch_of(7))],
            [Turn("neighbours", 3, nearest_follow(3))],
            [Turn("anchors", 2, epoch_of(6)), Turn("neighbours", 2, epoch_of(6))],
            *OF_PICTURES,
            [Turn("least_crop", 0.1, other_training_pixels)],
            [Turn("mirror", True, other_training_pixels)],
        ],
    ),
    "MPIIPose": (
        {"batch_size": 12, "queries": 2, "validation_fraction": 0.2, "num_workers": 0},
        [
            LOADERS,
            SEED,
            NOWHERE,
            [
                Turn("batch_size", 7, batch_of(7)),
                Turn("queries", 3, images("test", [3, 5])),
            ],
            [Turn("validation_fraction", 0.3, more_validation)],
            [Turn("image_size", 24, images_of_side(24))],
            [Turn("resize", 240, other_pixels)],
            [
                Turn("train_transforms", WIDE, other_training_pixels),
                Turn("eval_transforms", WIDE, other_pixels),
                Turn("resize", None, other_pixels),
            ],
            OF_PICTURES[-1],
            [Turn("neighbours", 2, other_batches)],
            [Turn("anchors", 2, epoch_of(8))],
        ],
    ),
    "COCO": ({}, [*LABELS, [Turn("year", 2017, refused("instances_train2017"))]]),
    "NUSWIDE": ({}, LABELS),
    "VOC2007": (
        {},
        [
            *LABELS,
            [Turn("difficult", "positive", difficult(1))],
            [Turn("difficult", "negative", difficult(0))],
        ],
    ),
    "CUB200": ({}, [*WITHOUT_VALIDATION, protocol("classification")]),
    "Cars196": ({}, [*WITHOUT_VALIDATION, protocol("retrieval")]),
    "FGVCAircraft": ({"official_validation": False}, WITH_VALIDATION),
    "Flowers102": ({"official_validation": False}, WITH_VALIDATION),
    "NABirds": ({}, WITHOUT_VALIDATION),
    "StanfordDogs": ({}, WITHOUT_VALIDATION),
    "StanfordOnlineProducts": ({}, WITHOUT_VALIDATION),
    "INaturalist2018": ({}, [LOADERS, PUBLISHED[3]]),
    "InShop": ({}, [*QUERIES, [Turn("boxes", True, in_boxes)]]),
    "Market1501": ({}, [LOADERS, PUBLISHED[3]]),
    "VehicleID": (
        {},
        [
            LOADERS,
            NOWHERE,
            [Turn("test_list", "medium", images("test", [4, 2]))],
            [Turn("protocol", "retrieval", images("test", [9]))],
        ],
    ),
    "GLDv2": (
        {"official_validation": False},
        [
            *PUBLISHED,
            *OF_PICTURES[2:],
            [*SHUFFLED, RESIZE],
            OTHER_BATCHES,
            [
                Turn("classes_per_batch", 3, classes_in_a_batch(3)),
                Turn("samples_per_class", 2, images_of_a_class(2)),
            ],
            [Turn("clean", False, with_another_landmark)],
            [Turn("official_validation", True, images("val", [1, 6]))],
        ],
    ),
    "LFWPairs": (
        TRAINED_ELSEWHERE,
        [
            *EVALUATED,
            [Turn("val_pairs", "two.txt", fewer_pairs("val"))],
            [Turn("test_pairs", "two.txt", fewer_pairs("test"))],
        ],
    ),
    "ROxfordParis": (
        TRAINED_ELSEWHERE,
        [
            [Turn("city", "rparis6k", other_city)],
            PUBLISHED[3],
            [Turn("distractors", True, images("test", [2, 6]))],
        ],
    ),
}
# Other keys are those of the same base as the other's, where they are turned.
LIKE = {
    "INaturalist2018": "StanfordOnlineProducts",
    "Market1501": "InShop",
    "ROxfordParis": "LFWPairs",
    "VehicleID": "InShop",
}
# Of batches: a data module, its further keys, what the batches are given, and what is turned.
SHOP = ("InShop", {})
PK = {"classes_per_batch": 2, "samples_per_class": 2}
K_IMAGES = [
    [
        Turn("samples_per_class", 3, images_of_a_class(3)),
        Turn("batches_per_epoch", 7, epoch_of(7)),
    ],
    [
        Turn("samples_per_class", 4, images_of_a_class(4)),
        Turn("short_classes", "drop", no_short_class),
    ],
]
P_CLASSES = [[Turn("classes_per_batch", 3, classes_in_a_batch(3))], *K_IMAGES]
OF_MINING = [
    Turn("mining.every_n_epochs", 3, mined(every_n_epochs=3, negatives=4)),
    Turn("mining.negatives", 4, mined(every_n_epochs=3, negatives=4)),
]
BATCHES = {
    "PxK": (*SHOP, PK, P_CLASSES),
    "WeightedPxK": (
        *SHOP,
        PK,
        [
            *P_CLASSES,
            [Turn("power", 4.0, other_batches)],
            [Turn("weights", {"id_00000002": 9.0, "id_00000003": 9.0}, other_batches)],
            [Turn("weights", {"nobody": 9.0}, refused("weights name 'nobody'"))],
        ],
    ),
    "SuperClassBatches": (
        *SHOP,
        {
            "super_classes_per_batch": 1,
            "classes_per_super_class": 1,
            "samples_per_class": 2,
        },
        [
            *K_IMAGES,
            [Turn("super_classes_per_batch", 2, super_classes_in_a_batch(2))],
            [Turn("classes_per_super_class", 2, classes_in_a_batch(2))],
            [Turn("power", 1.0, other_batches)],
            [Turn("level", "kind", refused("need the level kind", "super_class"))],
        ],
    ),
    "HardClassBatches": (
        *SHOP,
        {**PK, "classes_per_batch": 4, "around": 1, "hard_classes": 1},
        [
            K_IMAGES[0],
            [*K_IMAGES[1], Turn("classes_per_batch", 2, classes_in_a_batch(2))],
            [Turn("classes_per_batch", 3, classes_in_a_batch(3)), *OF_MINING],
            [Turn("around", 2, once_lists_are_there)],
            [Turn("hard_classes", 2, once_lists_are_there)],
        ],
    ),
    "HardNegativeBatches": (
        *SHOP,
        {"batch_size": 8, "anchors": 1, "positives": 1, "negatives": 1},
        [
            [
                Turn("batch_size", 9, batch_of(9)),
                Turn("batches_per_epoch", 7, epoch_of(7)),
                *OF_MINING,
            ],
            [Turn("anchors", 2, once_lists_are_there)],
            [Turn("positives", 2, once_lists_are_there)],
            [Turn("negatives", 2, once_lists_are_there)],
        ],
    ),
    "ViewBatches": (
        *SHOP,
        {"batches": part("ranklight.datamodules.PxK", **PK)},
        [
            [Turn("views", 3, batch_of(12))],
            [
                Turn(
                    "batches",
                    part("ranklight.datamodules.ShuffledBatches", batch_size=5),
                    batch_of(10),
                )
            ],
        ],
    ),
    "ShuffledBatches": (*SHOP, {"batch_size": 4}, [[Turn("batch_size", 5, batch_of(5))]]),
    "NearestBatches": (
        "ImageTable",
        {"labels": part("ranklight.datamodules.Numbers", columns=["age", "weight"])},
        {"batch_size": 8},
        [
            [Turn("batch_size", 7, batch_of(7))],
            [Turn("neighbours", 3, nearest_follow(3)), Turn("cache_dir", "near", kept_in("near"))],
            [Turn("anchors", 2, epoch_of(13)), Turn("neighbours", 2, epoch_of(13))],
            [Turn("lists", "nowhere.npz", refused("nowhere.npz"))],
        ],
    ),
    "TripletBatches": (
        "ImageTable",
        {
            "labels": part(
                "ranklight.datamodules.GradedRelevance",
                columns=["age", "weight"],
                relevance=part("ranklight.pairs.GradedByAttributes", length=8.0),
                class_column="label",
            )
        },
        {"triplets_per_batch": 4, "batches_per_epoch": 3, "buffer_size": 4},
        [
            [
                Turn("triplets_per_batch", 5, batch_of(15)),
                Turn("batches_per_epoch", 2, epoch_of(2)),
            ],
            [Turn("buffer_size", 2, other_batches)],
            [Turn("out_of_class", 0.9, other_batches)],
            [Turn("margin", 0.3, other_batches)],
            [Turn("weighted", False, other_batches)],
            [Turn("corrected", False, other_batches)],
        ],
    ),
}


def rows_of(table):
    return [
        pytest.param(name, turns, id=f"{name}.{'+'.join(turn.key for turn in turns)}")
        for name, (*_, rows) in table.items()
        for turns in rows
    ]


@pytest.fixture(scope="module")
def set_up(tmp_path_factory):
    """`set_up(name, **keys)`: the data module of that name, by the command line."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data_keys")
        patch.chdir(folder)
        command_line = CommandLine(patch, learns=False)
        trees = set()

        def data(name, **arguments):
            kind, base = getattr(datamodules, name), SUBJECTS[name][0]
            if name in TREES:
                base = base_on_files(kind, folder / name) | base
                if name not in trees:
                    tree(name, folder / name)
                    trees.add(name)
            run = command_line(
                configuration(name, base),
                {f"data.init_args.{key}": value for key, value in arguments.items()},
            )
            return run if isinstance(run, Refusal) else run.data

        yield data


def base_on_files(kind, root):
    base = {"root": str(root)} if kind is not datamodules.RegressionTable else {}
    if kind is datamodules.ImageTable:
        base = {"table": str(root / "table.csv")}
    if issubclass(kind, (ClassData, MultiLabelData, QueryGalleryData, datamodules.GLDv2)):
        base |= {"check_counts": False, "validation_fraction": 0.2}
        several = issubclass(kind, MultiLabelData)
        base |= {**PICTURES, "batch_size": 3} if several else {**FILES, **BALANCED}
    return base


def tree(name, root):
    """The small tree of a data set, with what some keys need to be seen."""
    if name in INSTEAD:
        return INSTEAD[name](root)
    TREES[name](root)
    if name == "ImageFolder":
        for label in "aceg":
            for number in (3, 4):
                picture(root / label / f"{number}.png")
    if name in CHANGED:
        CHANGED[name](root)
    return None


def aircraft(root):
    data, names = root / "fgvc-aircraft-2013b" / "data", ["707-320", "A330", "Boeing 717"]
    write(data / "variants.txt", names)
    for number, name in enumerate(("train", "val", "test")):
        images = {f"{20 * number + image:07d}": names[image % 3] for image in range(9)}
        for image in images:
            picture(data / "images" / f"{image}.jpg")
        write(data / f"images_variant_{name}.txt", [" ".join(pair) for pair in images.items()])


def flowers(root):
    folder = root / "flowers-102"
    for image in range(1, 28):
        picture(folder / "jpg" / f"image_{image:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 2, 102] * 9])})
    numbers = dict(zip(("trnid", "valid", "tstid"), np.arange(1, 28).reshape(3, 1, 9), strict=True))
    savemat(folder / "setid.mat", numbers)


def dogs(root):
    kinds = {"n1-Chihuahua": 1, "n2-Collie": 2, "n3-Dingo": 120}
    for name, images in (("train", "abcd"), ("test", "ef")):
        listed = {f"{kind}/{image}.jpg": kinds[kind] for kind in kinds for image in images}
        for image in listed:
            picture(root / "Images" / image)
        paths = np.array([[path] for path in listed], dtype=object)
        labels = np.array(list(listed.values()))[:, None]
        savemat(root / f"{name}_list.mat", {"file_list": paths, "labels": labels})


def coco_unlabelled(root):
    file = root / "annotations" / "instances_train2014.json"
    content = json.loads(file.read_text())
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != 1]
    file.write_text(json.dumps(content))


def nus_wide_unlabelled(root):
    for file in (root / "Groundtruth" / "TrainTestLabels").glob("*_Train.txt"):
        write(file, ["0", *file.read_text().splitlines()[1:]])


def voc2007_unlabelled(root):
    """And the aeroplanes of the second image are difficult."""
    for file in (root / "ImageSets" / "Main").glob("*_trainval.txt"):
        first, second, *others = file.read_text().splitlines()
        second = "000001 0" if file.name.startswith("aeroplane") else second
        write(file, [first.replace(" 1", "-1"), second, *others])


def shop(root):
    """Half of the items of either kind have five images, the others three."""
    train = {item: "ttttt" if item % 4 < 2 else "ttt" for item in range(1, 9)}
    in_shop(root, {**train, **dict.fromkeys(range(11, 14), "qqgg")})


def short_list(root):
    """Two of three vehicles on the list of 1,600."""
    file = root / "train_test_split" / "test_list_1600.txt"
    write(file, file.read_text().splitlines()[:6])


def less_clean(root):
    """One landmark is in the full table alone."""
    file = root / "train_clean.csv"
    write(file, file.read_text().splitlines()[:-1])


def faces(root):
    image_folder(Path("faces"))


def with_two_pairs(root):
    faces(root)
    write(root / "two.txt", ["1", "Ann_Lee\t1\t2", "Ann_Lee\t1\tBo\t2"])


INSTEAD = {"FGVCAircraft": aircraft, "Flowers102": flowers, "InShop": shop, "StanfordDogs": dogs}
CHANGED = {
    "COCO": coco_unlabelled,
    "GLDv2": less_clean,
    "LFWPairs": with_two_pairs,
    "NUSWIDE": nus_wide_unlabelled,
    "ROxfordParis": faces,
    "VOC2007": voc2007_unlabelled,
    "VehicleID": short_list,
}


def configuration(name, arguments):
    model = part(
        "ranklight.lightning_modules.MetricLearning",
        encoder=part("ranklight.models.Pixels"),
        objective=part("ranklight.pairs.Objective", loss="ranklight.losses.ContrastiveLoss"),
        optimizer=part("torch.optim.SGD", lr=0.1),
    )
    trainer = {"logger": False, "enable_progress_bar": False, "accelerator": "cpu"}
    data = part(f"ranklight.datamodules.{name}", **arguments)
    return {"model": model, "data": data, "trainer": trainer}


@pytest.mark.filterwarnings("ignore:.*never occur in training")
@pytest.mark.parametrize(("name", "turns"), rows_of(SUBJECTS))
def test_turning_keys(set_up, name, turns):
    base = set_up(name)
    assert not isinstance(base, Refusal), base.words
    turned = set_up(name, **{turn.key: turn.value for turn in turns})
    for turn in turns:
        turn.sees(base, turned)


@pytest.mark.parametrize(("name", "turns"), rows_of(BATCHES))
def test_turning_keys_of_batches(set_up, name, turns):
    data, options, arguments, _ = BATCHES[name]
    drawn = {"batches": part(f"ranklight.datamodules.{name}", **arguments), **options}
    base = set_up(data, **drawn)
    assert not isinstance(base, Refusal), base.words
    turned = {f"batches.init_args.{turn.key}": turn.value for turn in turns}
    for turn in turns:
        turn.sees(base, set_up(data, **drawn, **turned))


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_key_is_turned(name):
    wanted = set(keys(getattr(datamodules, name)))
    turned = {turn.key for turns in SUBJECTS[name][1] for turn in turns}
    if name in LIKE:
        turned |= {turn.key for turns in SUBJECTS[LIKE[name]][1] for turn in turns} & wanted
    assert turned == wanted


@pytest.mark.parametrize("name", BATCHES)
def test_every_key_of_batches_is_turned(name):
    turned = {turn.key.split(".")[0] for turns in BATCHES[name][3] for turn in turns}
    assert turned == set(keys(getattr(datamodules, name)))


def test_all_batches_are_here():
    kinds = {
        kind.__name__
        for kind in vars(datamodules).values()
        if inspect.isclass(kind) and issubclass(kind, Batches)
    }
    assert kinds == {*BATCHES}


def test_every_data_module_is_here():
    public = [getattr(datamodules, name) for name in datamodules.__all__]
    modules = {
        kind for kind in public if inspect.isclass(kind) and issubclass(kind, LightningDataModule)
    }
    assert {kind.__name__ for kind in modules - ABSTRACT} == {*SUBJECTS}
