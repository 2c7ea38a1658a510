import math

import pytest
import pytorch_lightning as pl
import torch

from ranklight.datamodules import DigitPoses
from ranklight.datamodules.digits.posed import PosedDigits


def small(**arguments):
    sizes = {"train_scenes": 120, "val_scenes": (6, 20), "test_scenes": (7, 30), "batch_size": 20}
    data = DigitPoses(**sizes | arguments)
    data.setup()
    return data


def test_no_digit_is_in_two_splits():
    data = small()
    splits = [data.train, *data.val, *data.test]
    assert [len(split.digits) for split in splits] == [997, 200, 200, 200, 200]
    assert len(torch.cat([split.indices for split in splits]).unique()) == 183
    other = small(split_seed=1)
    assert other.split_hash != data.split_hash
    assert small(seed=1).split_hash == data.split_hash


def test_labels_say_where_the_ink_is():
    digits = torch.zeros(2, 8, 8)
    digits[:, 2:6, 2:6] = 1
    split = PosedDigits(
        digits,
        torch.zeros(2, dtype=torch.int64),
        torch.arange(400).numpy(),
        (1.0, 0.5, 2.0),
        90.0,
        0,
        0,
    )
    ink = split._draw_digits(list(range(400)))
    axis = (torch.arange(48) + 0.5) / 24 - 1
    area = ink.sum((1, 2))
    center = torch.stack([ink.sum(1) @ axis, ink.sum(2) @ axis], 1) / area[:, None]
    torch.testing.assert_close(split.labels[:, :2], center, atol=0.03, rtol=0)
    size = (area / (48 / 2) ** 2).sqrt()
    torch.testing.assert_close(split.labels[:, 4] / 2, size.log(), atol=0.08, rtol=0)
    assert torch.allclose(split.labels[:, 2:4].norm(dim=1), torch.full((400,), 0.5))


def test_the_angle_turns_the_digit():
    bar = torch.zeros(1, 8, 8)
    bar[:, 1:7, 3:5] = 1
    split = PosedDigits(
        bar,
        torch.zeros(1, dtype=torch.int64),
        torch.arange(200).numpy(),
        (1.0, 1.0, 1.0),
        60.0,
        0,
        0,
    )
    ink = split._draw_digits(list(range(200)))
    axis = (torch.arange(48) + 0.5) / 24 - 1
    down, across = torch.meshgrid(axis, axis, indexing="ij")
    x, y = across - split.center[:, 0, None, None], down - split.center[:, 1, None, None]
    # The long side points to (sin φ, cos φ) up to the sign that the drawing gives a turn.
    turn = 0.5 * torch.atan2(2 * (ink * x * y).sum((1, 2)), (ink * (y**2 - x**2)).sum((1, 2)))
    assert (turn.abs() - split.angle.abs()).abs().max() < 0.06
    assert (turn * split.angle < 1e-3).all() or (turn * split.angle > -1e-3).all()
    assert split.angle.abs().max() <= math.radians(60)


def test_poses_never_change_but_clutter_does_in_training():
    data = small()
    again = small(seed=5)
    first = data.train.__getitems__([(0, 3), (0, 7)])
    later = data.train.__getitems__([(1, 3)])
    assert torch.equal(first.labels[:1], later.labels)
    assert not torch.equal(first.images[:1], later.images)
    assert torch.equal(data.train.labels, again.train.labels)
    assert not torch.equal(again.train.__getitems__([(0, 3)]).images, first.images[:1])
    assert torch.equal(
        data.test[1].__getitems__([4]).images, again.test[1].__getitems__([4]).images
    )
    assert torch.equal(data.train.__getitems__([(0, 7)]).images, first.images[1:])
    assert not torch.equal(small(split_seed=5).test[0].labels, data.test[0].labels)


def test_batches_hold_the_nearest_poses():
    data = small()
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (20, 1, 48, 48)
    assert batch.images.dtype == torch.uint8
    assert batch.images.max() > 250
    distance = torch.cdist(batch.labels[:1], data.train.labels)[0]
    assert torch.equal(distance.argsort()[1:6], batch.index[1:6])


def test_validation_and_test_have_queries_and_gallery():
    data = small(eval_batch_size=8)
    for loaders, sizes in ((data.val_dataloader(), (6, 20)), (data.test_dataloader(), (7, 30))):
        assert tuple(sum(len(batch.index) for batch in loader) for loader in loaders) == sizes


def test_every_image_is_drawn_alike_on_any_number_of_workers():
    def images(workers):
        return torch.cat([b.images for b in small(num_workers=workers).val_dataloader()[1]])

    assert torch.equal(images(0), images(2))


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="at least 1; got 4000"):
        DigitPoses(val_scenes=(0, 10))
    with pytest.raises(ValueError, match="batch_size is 200, but there are only 120 images"):
        small(batch_size=200)
    assert isinstance(small(), pl.LightningDataModule)
