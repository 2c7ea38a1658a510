"""Weighted classes, super-classes, hard classes and hard negatives, several views."""

import numpy as np
import pytest
import torch

from ranklight.datamodules.samplers import (
    ClassBalanced,
    HardClasses,
    HardNegatives,
    SeveralViews,
    Shuffled,
    SuperClasses,
    WeightedClasses,
)

COUNTS = [2, 4, 8, 16, 3, 5]
LABELS = np.repeat(10 * np.arange(6), COUNTS)[np.random.default_rng(0).permutation(sum(COUNTS))]
ABOVE = LABELS // 20
LISTS = torch.from_numpy(
    np.stack([np.resize(np.flatnonzero(LABELS + label == 50), 3) for label in LABELS])
)
"""Of each image some of the class that its own is confused with: 0 and 50, 10 and 40, 20 and 30."""


def weighted(labels=LABELS, **arguments):
    return WeightedClasses(labels, **{"classes_per_batch": 2, "samples_per_class": 2} | arguments)


def super_classes(labels=LABELS, above=ABOVE, **arguments):
    numbers = {"super_classes_per_batch": 2, "classes_per_super_class": 2, "samples_per_class": 2}
    return SuperClasses(labels, above, **numbers | arguments)


def hard_classes(labels=LABELS, lists=LISTS, **arguments):
    numbers = {"classes_per_batch": 4, "samples_per_class": 2, "around": 2, "hard_classes": 1}
    sampler = HardClasses(labels, **numbers | arguments)
    if lists is not None:
        sampler.take_lists(lists)
    return sampler


def hard_negatives(labels=LABELS, lists=LISTS, **arguments):
    sampler = HardNegatives(
        labels, **{"batch_size": 12, "anchors": 2, "positives": 2, "negatives": 2} | arguments
    )
    if lists is not None:
        sampler.take_lists(lists)
    return sampler


def views(**arguments):
    return SeveralViews(ClassBalanced(LABELS, 2, 2, **arguments), len(LABELS))


MAKERS = [weighted, super_classes, hard_classes, hard_negatives, views]


@pytest.mark.parametrize("make", MAKERS)
def test_a_batch_follows_from_seed_epoch_and_position(make):
    sampler = make()
    whole = sampler.batches(3, 0, len(sampler))
    alone = [make().batches(3, i, i + 1)[0] for i in reversed(range(len(sampler)))]
    assert np.array_equal(whole, alone[::-1])
    assert not np.array_equal(whole, sampler.batches(4, 0, len(sampler)))
    assert not np.array_equal(whole, make(seed=1).batches(3, 0, len(sampler)))


@pytest.mark.parametrize("make", MAKERS)
def test_ranks_share_one_global_batch(make):
    expected = list(make())
    for rank in range(2):
        assert list(make(rank=rank, world_size=2)) == [batch[rank::2] for batch in expected]


@pytest.mark.parametrize("make", MAKERS)
def test_goes_on_from_its_state(make):
    sampler = make()
    sampler.set_epoch(2)
    batches = iter(sampler)
    next(batches)
    state, rest = sampler.state_dict(), list(batches)
    resumed = make()
    resumed.load_state_dict(state)
    assert list(resumed) == rest
    with pytest.raises(ValueError, match="seed was 0 and is 1"):
        make(seed=1).load_state_dict(state)


def drawn(sampler, epochs=200):
    return np.concatenate([sampler.batches(epoch, 0, len(sampler)) for epoch in range(epochs)])


@pytest.mark.parametrize(("power", "weights"), [(0.0, {}), (1.0, {}), (0.5, {30: 4.0})])
def test_classes_come_by_their_weight(power, weights):
    sampler = weighted(power=power, weights=weights, classes_per_batch=1)
    classes, counts = np.unique(LABELS[drawn(sampler)[:, 0]], return_counts=True)
    wanted = np.array(COUNTS) ** power
    wanted[3] *= weights.get(30, 1)
    wanted *= counts.sum() / wanted.sum()
    assert classes.tolist() == [0, 10, 20, 30, 40, 50]
    assert ((counts - wanted) ** 2 / wanted).sum() < 25  # 5 degrees of freedom: once in 7,000


def test_images_of_a_class_come_evenly_and_not_twice_in_a_batch():
    batches = drawn(weighted(samples_per_class=2))
    for batch in batches.reshape(len(batches), 2, 2):
        assert (batch[:, 0] != batch[:, 1]).all()
        assert (LABELS[batch[:, 0]] == LABELS[batch[:, 1]]).all()
        assert LABELS[batch[0, 0]] != LABELS[batch[1, 0]]
    for label in (10, 30):
        counts = np.bincount(batches.ravel(), minlength=len(LABELS))[label == LABELS]
        assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 45  # 15 degrees at most


def test_a_class_with_fewer_images_repeats_them():
    batches = drawn(weighted(samples_per_class=5), 5)
    rows = batches.reshape(-1, 5)
    for row in rows[LABELS[rows[:, 0]] == 40]:
        assert sorted(np.unique(row, return_counts=True)[1].tolist()) == [1, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": {7: 1.0}}, "weights name the class 7, which no image has"),
        ({"weights": {10: -1.0}}, "weight of class 10 must be 0 or more, got -1"),
        ({"weights": dict.fromkeys(range(0, 50, 10), 0.0)}, "only 1 classes have a weight above 0"),
        ({"short_classes": "error", "samples_per_class": 3}, "smallest, class 0, has 2"),
        ({"world_size": 3}, "cannot be shared equally by 3 ranks"),
    ],
)
def test_weights_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        weighted(**arguments)


def test_super_classes_hold_their_classes():
    for batch in drawn(super_classes(), 20).reshape(-1, 2, 2, 2):
        above, classes = ABOVE[batch], LABELS[batch]
        assert above[0, 0, 0] != above[1, 0, 0]
        assert (above == above[:, :1, :1]).all()
        assert (classes[..., 0] == classes[..., 1]).all()
        assert (classes[:, 0] != classes[:, 1]).all()


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_super_classes_come_by_how_many_classes_they_have(power):
    above = np.where(LABELS == 50, 1, 0)
    sampler = super_classes(
        above=above, super_classes_per_batch=1, classes_per_super_class=1, power=power
    )
    share = (above[drawn(sampler)[:, 0]] == 1).mean()
    assert share == pytest.approx(0.5 if power == 0 else 1 / 6, abs=0.05)


@pytest.mark.parametrize(
    ("above", "message"),
    [
        (np.arange(len(LABELS)), "has images of two super-classes"),
        (LABELS, "only 0 of 6 super-classes have classes_per_super_class 2"),
        (ABOVE[1:].tolist(), "38 labels came with 37 super-classes"),
    ],
)
def test_super_classes_that_cannot_be(above, message):
    with pytest.raises(ValueError, match=message):
        super_classes(above=above)


def test_batches_are_built_around_classes_that_are_confused():
    for batch in drawn(hard_classes(), 20).reshape(-1, 4, 2):
        first, second, *others = LABELS[batch[:, 0]]
        wanted = [50 - label for label in (first, second) if 50 - label not in (first, second)]
        assert others[: len(wanted)] == wanted
        assert len({first, second, *others}) == 4
        assert (LABELS[batch[:, 0]] == LABELS[batch[:, 1]]).all()


def test_every_class_leads_once_before_any_leads_again():
    sampler = hard_classes()
    leading = LABELS[drawn(sampler, 30).reshape(-1, 4, 2)[:, :2, 0]].ravel()
    passes = leading[: len(leading) // 6 * 6].reshape(-1, 6)
    assert (np.sort(passes) == [0, 10, 20, 30, 40, 50]).all()
    assert len({each.tobytes() for each in passes}) > 5


def test_the_class_that_is_confused_more_often_comes_first():
    lists = LISTS.clone()
    of_30 = torch.from_numpy(LABELS == 30)
    lists[of_30, :2] = torch.from_numpy(np.flatnonzero(LABELS == 0)[:2])
    sampler = hard_classes(lists=lists, around=1, classes_per_batch=2)
    pairs = LABELS[drawn(sampler, 20).reshape(-1, 2, 2)[:, :, 0]]
    assert (pairs[pairs[:, 0] == 30, 1] == 0).all()
    assert (pairs[pairs[:, 0] == 20, 1] == 30).all()


def test_without_lists_the_classes_are_random():
    pairs = LABELS[drawn(hard_classes(lists=None, around=1), 20).reshape(-1, 4, 2)[:, :2, 0]]
    assert len({tuple(pair) for pair in pairs.tolist()}) > 20


def test_anchors_bring_their_class_and_their_hard_negatives():
    sampler = hard_negatives()
    batches = drawn(sampler, 30)
    assert all(len(set(batch.tolist())) == 12 for batch in batches)
    for batch in batches:
        anchors, near, rest = batch[:2], set(batch[:10].tolist()), batch.tolist()
        for anchor in anchors:
            own = set(np.flatnonzero(LABELS[anchor] == LABELS).tolist()) - {anchor}
            assert len(own & near) >= min(2, len(own))
            listed = set(LISTS[anchor].tolist()) - {-1}
            assert len(listed & set(rest)) >= (2 if len(listed) == 3 else 1)
    anchors = batches[:, :2].ravel()
    passes = anchors[: len(anchors) // 38 * 38].reshape(-1, 38)
    assert (np.sort(passes) == np.arange(38)).all()


def test_an_image_that_is_alone_and_without_a_list_brings_random_ones():
    labels = np.array([0, 1, 1, 1])
    sampler = hard_negatives(
        labels, lists=torch.full((4, 2), -1), batch_size=4, anchors=1, positives=1
    )
    assert all(sorted(batch) == [0, 1, 2, 3] for batch in drawn(sampler, 8).tolist())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hard_classes(around=5), "a batch of 4 classes cannot be built around 5"),
        (lambda: hard_classes(classes_per_batch=7), "there are only 6 classes"),
        (lambda: hard_negatives(batch_size=9), "batch of 9 images cannot hold 2 anchors with 2"),
        (lambda: hard_negatives(batch_size=40), "there are only 38 images"),
        (lambda: SeveralViews(Shuffled(4, 2), 4, views=0), "views must be 1 to"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_views_are_of_one_image_and_augmented_apart():
    sampler = views()
    for batch in sampler:
        keys = [sampler.key(2, position) for position in batch]
        first, second = keys[:4], keys[4:]
        assert [image for _, image in first] == [image for _, image in second]
        assert {epoch for epoch, _ in first} == {2}
        assert len({epoch for epoch, _ in keys}) == 2
