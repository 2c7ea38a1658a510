import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score

from ranklight.datamodules import DigitScenes
from ranklight.datamodules.digits.handwritten import handwritten_digits


def built(**options):
    data = DigitScenes(**{"train_scenes": 300, "val_scenes": 100, "test_scenes": 200} | options)
    data.setup()
    return data


def test_a_scene_shows_1_to_4_digits_of_the_classes_of_its_label():
    data = built()
    classes = handwritten_digits()[1]
    for split in (data.train, data.val, data.test):
        assert set(split.labels.unique().tolist()) == {0.0, 1.0}
        assert set(split.labels.sum(1).tolist()) == {1.0, 2.0, 3.0, 4.0}
        assert ((split.sources >= 0).sum(1) == split.labels.sum(1)).all()
    pixels = {
        digit.numpy().tobytes(): c.item() for digit, c in zip(*handwritten_digits(), strict=True)
    }
    for row, label in zip(data.val.sources, data.val.labels, strict=True):
        shown = {pixels[data.val.digits[source].numpy().tobytes()] for source in row[row >= 0]}
        assert shown == set(label.nonzero().flatten().tolist())
    assert len(classes) == sum(len(split.digits) for split in (data.train, data.val, data.test))


def test_no_digit_is_in_scenes_of_two_splits():
    data = built()
    pixels = [
        {digit.numpy().tobytes() for digit in split.digits}
        for split in (data.train, data.val, data.test)
    ]
    assert not pixels[0] & pixels[1]
    assert not pixels[0] & pixels[2]
    assert not pixels[1] & pixels[2]


def test_classes_are_uneven():
    data = built(train_scenes=4000)
    share = data.train.labels.mean(0)
    assert 0.60 < share[0] < 0.68
    assert 0.08 < share[9] < 0.13
    assert (share[:-2] > share[2:]).all()


def test_evaluation_is_the_same_for_any_batch_and_any_training_seed():
    data, other = built(), built(seed=7, batch_size=20)
    scenes = data.val.__getitems__(list(range(8)))
    alone = [other.val.__getitems__([position]) for position in range(8)]
    assert torch.equal(scenes.images, torch.cat([batch.images for batch in alone]))
    assert torch.equal(scenes.labels, torch.cat([batch.labels for batch in alone]))
    assert scenes.index.tolist() == list(range(300, 308))
    assert data.split_hash == other.split_hash != built(split_seed=1).split_hash


def test_training_draws_the_same_digits_anew_each_epoch_and_each_training_seed():
    data, other = built(), built(seed=7)
    first, again, later = (data.train.__getitems__([(epoch, 3)]) for epoch in (0, 0, 1))
    elsewhere = other.train.__getitems__([(0, 3)])
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, later.images)
    assert not torch.equal(first.images, elsewhere.images)
    assert torch.equal(first.labels, later.labels)
    assert torch.equal(first.labels, elsewhere.labels)


def test_digits_lie_inside_and_are_not_cut_off():
    data = built()
    size = 24
    data.val.size = size
    corner = torch.tensor([[0.0], [1.0]]).expand(2, 2)
    uniform = torch.full((2, 4, 4), 0.999)
    uniform[:, 0, 2:] = corner
    sources = torch.tensor([[5, -1, -1, -1]] * 2)
    drawn = data.val._draw_digits(sources, uniform)
    mass = drawn.sum((1, 2))
    uniform[:, 0, 2:] = 0.5
    assert torch.allclose(mass, data.val._draw_digits(sources, uniform).sum((1, 2)), rtol=0.05)


def test_batches_and_sizes():
    data = built(batch_size=32, size=48)
    batches = list(data.train_dataloader())
    assert len(batches) == 300 // 32
    assert batches[0].images.shape == (32, 1, 48, 48)
    assert batches[0].labels.shape == (32, 10)
    assert batches[0].labels.dtype == torch.float32
    assert sum(len(batch.images) for batch in data.val_dataloader()) == 100
    assert sum(len(batch.images) for batch in data.test_dataloader()) == 200


def test_a_linear_model_on_pixels_is_poor():
    data = built(train_scenes=1500, test_scenes=500)
    train = data.train.__getitems__([(0, position) for position in range(1500)])
    test = data.test.__getitems__(list(range(500)))
    linear = Ridge(100.0).fit(train.images.flatten(1), train.labels)
    scores = linear.predict(test.images.flatten(1))
    assert average_precision_score(test.labels, scores, average="macro") < 0.4


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"at least 1; got \(4000, 0, 2000\)"):
        DigitScenes(val_scenes=0)
    with pytest.raises(ValueError, match="batch_size is 400, but there are only 300"):
        built(batch_size=400)
