"""Batches by weight, by super-class, around what is hard, and in several views, on files."""

import numpy as np
import pytest
import torch

from ranklight.datamodules import (
    HardClassBatches,
    HardNegativeBatches,
    ImageTable,
    Mining,
    OneClass,
    PxK,
    ShuffledBatches,
    SuperClassBatches,
    ViewBatches,
    WeightedPxK,
)
from ranklight.datamodules.labels.rows import RowLabels
from tests.trees import picture, write

CLASSES = np.repeat(np.arange(6), 4)
LABELS = RowLabels(torch.from_numpy(CLASSES), tuple("abcdef"), CLASSES)
SETS = RowLabels(torch.ones(24, 3))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    root = tmp_path_factory.mktemp("table")
    for number in range(24):
        picture(root / f"{number}.png")
    rows = [f"{n}.png,{n // 4},{'chair' if n < 16 else 'kettle'},train" for n in range(24)]
    rows += [f"{n}.png,{n // 4},chair,{split}" for n, split in ((0, "val"), (1, "test"))]
    write(root / "table.csv", ["image,label,kind,split", *rows])
    return root / "table.csv"


@pytest.fixture
def data(table):
    def make(batches, **options):
        module = ImageTable(
            str(table),
            OneClass(super_class="kind"),
            batches=batches,
            image_size=16,
            num_workers=0,
            **options,
        )
        module.setup("fit")
        return module

    return make


@pytest.mark.filterwarnings("ignore:.*more than one split", "ignore:.*same image", "ignore:.*only")
def test_a_table_has_super_classes_for_batches_and_scores(data):
    module = data(SuperClassBatches(1, 2, 2))
    kinds = module.train.levels["super_class"]
    assert kinds.bincount().tolist() == [16, 8]
    for batch in module.train_dataloader():
        assert len({int(kinds[i]) for i in batch.index}) == 1
        assert batch.labels.bincount().max() == 2
    assert module.val.levels["super_class"].tolist() == [0]


@pytest.mark.filterwarnings("ignore:.*more than one split", "ignore:.*same image", "ignore:.*only")
def test_views_of_an_image_have_one_label_and_different_pixels(data):
    module = data(ViewBatches(PxK(2, 2)))
    batch = next(iter(module.train_dataloader()))
    assert torch.equal(batch.index[:4], batch.index[4:])
    assert torch.equal(batch.labels[:4], batch.labels[4:])
    assert not torch.equal(batch.images[:4], batch.images[4:])
    again = next(iter(data(ViewBatches(PxK(2, 2))).train_dataloader()))
    assert torch.equal(batch.images, again.images)
    plain = next(iter(data(PxK(2, 2)).train_dataloader()))
    assert torch.equal(batch.images[:4], plain.images)


def test_classes_are_weighted_by_name():
    weights = dict.fromkeys("abde", 0.0)
    sampler = WeightedPxK(2, 2, weights=weights).sampler(LABELS, seed=0)
    assert {int(CLASSES[image]) for batch in sampler for image in batch} == {2, 5}
    with pytest.raises(ValueError, match="'z', which is no class of training; there are a, b"):
        WeightedPxK(weights={"z": 2.0}).sampler(LABELS, seed=0)
    with pytest.raises(ValueError, match="weight of class b must be 0 or more, got -1"):
        WeightedPxK(weights={"b": -1.0}).sampler(LABELS, seed=0)


def test_what_is_said_of_hard_batches_reaches_the_sampler():
    mining = Mining(every_n_epochs=3, negatives=7)
    hard = HardClassBatches(3, 2, 1, 2, mining, batches_per_epoch=5).sampler(LABELS, seed=4)
    assert (hard.mining, hard.around, hard.hard_classes, hard.seed) == (mining, 1, 2, 4)
    assert np.shape([*hard]) == (5, 6)
    negatives = HardNegativeBatches(12, 3, 1, 2, mining, 4).sampler(LABELS, seed=4)
    assert (negatives.mining, negatives.anchors, negatives.negatives) == (mining, 3, 2)
    assert np.shape([*negatives]) == (4, 12)


@pytest.mark.parametrize(
    "batches", [WeightedPxK(), HardClassBatches(), HardNegativeBatches(), ViewBatches(PxK())]
)
def test_sets_have_no_class_to_draw_by(batches):
    with pytest.raises(ValueError, match="not one class an image"):
        batches.sampler(SETS, seed=0)


def test_views_are_of_any_batches():
    assert np.shape([*ViewBatches(ShuffledBatches(8), 3).sampler(SETS, seed=0)]) == (3, 24)


def test_labels_without_super_classes_say_where_to_get_some():
    with pytest.raises(ValueError, match=r"need the level super_class.*OneClass\(super_class="):
        SuperClassBatches().sampler(LABELS, seed=0)
