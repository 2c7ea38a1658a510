import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ranklight.datamodules import Batch, Digits
from ranklight.datamodules.digits.cluttered import ClutteredDigits


@pytest.fixture(scope="module")
def data():
    digits = Digits()
    digits.setup()
    return digits


def everything(split):
    return split.__getitems__(range(len(split)))


def test_the_constructor_reads_nothing():
    assert not hasattr(Digits(), "train")


def test_batches_are_small_grey_images(data):
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, Batch)
    assert batch.images.shape == (80, 1, 32, 32)
    assert batch.images.dtype == torch.uint8
    assert batch.images.min() == 0
    assert batch.images.max() > 250
    assert batch.labels.view(5, 16).unique(dim=1).shape == (5, 1)


@pytest.mark.parametrize("validation", ["image_disjoint", "class_disjoint"])
def test_splits_are_disjoint_and_complete(validation):
    data = Digits(4, validation=validation)
    data.setup()
    indices = [set(split.indices.tolist()) for split in (data.train, data.val, data.test)]
    assert sum(map(len, indices)) == len(set.union(*indices)) == 1797
    target = load_digits().target
    assert {int(target[i]) for i in indices[2]} == {5, 6, 7, 8, 9}
    seen = [{int(target[i]) for i in part} for part in indices[:2]]
    assert set.union(*seen) == {0, 1, 2, 3, 4}
    assert seen[0].isdisjoint(seen[1]) == (validation == "class_disjoint")


def test_scenes_hold_no_digit_of_another_split(data):
    """Every other digit is replaced by white: no scene of this split changes."""
    digits = torch.tensor(load_digits().images / 16, dtype=torch.float32)
    labels = torch.tensor(load_digits().target)
    for split in (data.train, data.val, data.test):
        others = torch.ones(len(digits), dtype=torch.bool)
        others[split.indices] = False
        whitened = torch.where(others[:, None, None], 1.0, digits)
        blind = ClutteredDigits(whitened, labels, split.indices.numpy(), 0)
        assert torch.equal(everything(blind).images, everything(split).images)


def test_a_scene_is_the_same_in_any_batch(data):
    batch = data.train.__getitems__([(3, position) for position in range(40)])
    for position in (0, 17, 39):
        alone = data.train.__getitems__([(3, position)])
        assert torch.equal(alone.images[0], batch.images[position])


def test_training_scenes_change_with_the_epoch_and_evaluation_does_not(data):
    first, second = (data.train.__getitems__([(epoch, 5)]).images for epoch in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(data.train.__getitems__([5]).images, data.train.__getitems__([5]).images)
    assert torch.equal(everything(data.test).images, everything(data.test).images)


@pytest.mark.parametrize("loader", ["train_dataloader", "val_dataloader", "test_dataloader"])
def test_workers_change_nothing(loader):
    batches = []
    for num_workers in (0, 2):
        data = Digits(num_workers=num_workers, eval_batch_size=100)
        data.setup()
        batches.append(list(getattr(data, loader)()))
    for ours, theirs in zip(*batches, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_index_finds_the_image(data):
    batch = everything(data.test)
    target = load_digits().target
    np.testing.assert_array_equal(batch.labels.numpy(), target[batch.index.numpy()])


def test_raw_pixels_do_not_solve_it(data):
    """The trial that fixed the clutter had Recall@1 0.43 on raw pixels."""
    batch = everything(data.test)
    pixels = batch.images.flatten(1).float()
    distances = torch.cdist(pixels, pixels)
    nearest = distances.fill_diagonal_(torch.inf).argmin(1)
    recall = (batch.labels[nearest] == batch.labels).float().mean()
    assert 0.38 < recall < 0.48


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes_per_batch": 6}, "classes_per_batch is 6, but there are only 5"),
        (
            {"classes_per_batch": 5, "validation": "class_disjoint"},
            "classes_per_batch is 5, but there are only 4",
        ),
        ({"samples_per_class": 500}, "samples_per_class is 500, but the largest class has"),
        ({"validation_fraction": 1.5}, r"between 0 and 1; got 1\.5"),
    ],
)
def test_batches_that_the_digits_cannot_fill_are_refused_before_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        Digits(**arguments).setup("fit")
