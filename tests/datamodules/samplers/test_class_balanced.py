import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ranklight.datamodules.samplers import ClassBalanced


@st.composite
def cases(draw):
    counts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=14))
    per_batch = draw(st.integers(1, len(counts)))
    samples = draw(st.integers(1, max(counts)))
    labels = np.repeat(np.arange(len(counts)) * 7 - 3, counts)
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(labels))
    return labels[order], per_batch, samples, draw(st.integers(0, 5))


def stream(sampler, epochs):
    """All images drawn in some epochs, as (batch, class in the batch, image)."""
    batches = [sampler.batches(epoch, 0, len(sampler)) for epoch in range(epochs)]
    return np.concatenate(batches).reshape(-1, sampler.classes_per_batch, sampler.samples_per_class)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_a_batch_holds_p_different_classes_with_k_images_each(case):
    labels, per_batch, samples, seed = case
    for batch in stream(ClassBalanced(labels, per_batch, samples, seed), 12):
        classes = labels[batch]
        assert (classes == classes[:, :1]).all()
        assert len(set(classes[:, 0])) == per_batch
        for group in batch:
            available = (labels == labels[group[0]]).sum()
            assert len(set(group)) == min(samples, available)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_every_class_comes_once_in_a_pass(case):
    labels, per_batch, samples, seed = case
    visits = labels[stream(ClassBalanced(labels, per_batch, samples, seed), 12)[..., 0]].ravel()
    classes = len(np.unique(labels))
    for start in range(0, len(visits) - classes + 1, classes):
        assert len(set(visits[start : start + classes])) == classes


@settings(max_examples=40, deadline=None)
@given(cases())
def test_every_image_of_a_class_comes_before_any_repeats(case):
    labels, per_batch, samples, seed = case
    drawn = stream(ClassBalanced(labels, per_batch, samples, seed), 20).ravel()
    for label in np.unique(labels):
        own = drawn[labels[drawn] == label]
        size = (labels == label).sum()
        for start in range(0, len(own) - size + 1, size):
            assert len(set(own[start : start + size])) == size


@settings(max_examples=40, deadline=None)
@given(cases(), st.data())
def test_any_batch_is_a_pure_function_of_seed_epoch_and_position(case, data):
    labels, per_batch, samples, seed = case
    build = lambda: ClassBalanced(labels, per_batch, samples, seed)  # noqa: E731
    whole, jumping = build(), build()
    epochs = [whole.batches(epoch, 0, len(whole)) for epoch in range(6)]
    for _ in range(6):
        epoch = data.draw(st.integers(0, 5))
        first = data.draw(st.integers(0, len(whole) - 1))
        last = data.draw(st.integers(first + 1, len(whole)))
        np.testing.assert_array_equal(
            jumping.batches(epoch, first, last), epochs[epoch][first:last]
        )
        fresh = build().batches(epoch, first, last)
        np.testing.assert_array_equal(fresh, epochs[epoch][first:last])


def test_passes_and_groups_are_reshuffled():
    labels = np.repeat(np.arange(64), 8)
    sampler = ClassBalanced(labels, 8, 4)
    drawn = stream(sampler, 40)
    orders = {tuple(order) for order in labels[drawn[..., 0]].reshape(-1, 64)}
    assert len(orders) == len(drawn) * 8 // 64
    groups = {frozenset(group) for group in drawn.reshape(-1, 4) if labels[group[0]] == 5}
    assert len(groups) > 25, "of 70 halves of a class of 8, 40 visits see the same few"


def test_images_of_a_class_are_shuffled_uniformly():
    sampler = ClassBalanced(np.zeros(6, dtype=int), 1, 2, batches_per_epoch=3)
    drawn = np.stack([sampler.batches(epoch, 0, 3).ravel() for epoch in range(1500)])
    counts = np.stack([(drawn == image).sum(0) for image in range(6)])
    assert abs(counts - 250).max() < 5 * np.sqrt(250 * 5 / 6)


def test_another_seed_is_another_order():
    labels = np.repeat(np.arange(20), 5)
    one, other = (ClassBalanced(labels, 4, 2, seed).batches(0, 0, 5) for seed in (0, 1))
    assert (one != other).any()


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_ranks_of_any_number_share_one_global_batch(world_size):
    labels = np.repeat(np.arange(11), 7)
    expected = list(ClassBalanced(labels, 3, 4))
    shares = [
        list(ClassBalanced(labels, 3, 4, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    for position, batch in enumerate(expected):
        for rank in range(world_size):
            assert shares[rank][position] == batch[rank::world_size]


def test_length_is_exact():
    labels = np.repeat(np.arange(10), 13)
    for sampler in (ClassBalanced(labels, 4, 3), ClassBalanced(labels, 4, 3, batches_per_epoch=7)):
        for epoch in range(3):
            sampler.set_epoch(epoch)
            assert sum(1 for _ in sampler) == len(sampler)
    assert len(ClassBalanced(labels, 4, 3)) == 130 // 12
    assert len(ClassBalanced(labels, 10, 13)) == 1
    assert len(ClassBalanced(labels, 4, 3, batches_per_epoch=7)) == 7


def test_labels_may_be_a_list_or_a_tensor_of_any_integers():
    labels = [2**40, 5, 5, 2**40, -1, -1]
    expected = list(ClassBalanced(labels, 2, 2))
    assert list(ClassBalanced(torch.tensor(labels), 2, 2)) == expected
    assert list(ClassBalanced(np.array(labels), 2, 2)) == expected


def test_without_set_epoch_each_pass_is_the_next_epoch():
    labels = np.repeat(np.arange(10), 13)
    sampler, told = ClassBalanced(labels, 4, 3), ClassBalanced(labels, 4, 3)
    for epoch in range(3):
        told.set_epoch(epoch)
        assert list(sampler) == list(told)


def test_state_goes_on_in_the_middle_of_an_epoch_on_other_ranks():
    labels = np.repeat(np.arange(10), 13)
    sampler = ClassBalanced(labels, 4, 3)
    sampler.set_epoch(3)
    batches = iter(sampler)
    for _ in range(4):
        next(batches)
    state = sampler.state_dict()
    rest = list(batches)
    resumed = ClassBalanced(labels, 4, 3, rank=1, world_size=2)
    resumed.load_state_dict(state)
    resumed.set_epoch(3)
    assert list(resumed) == [batch[1::2] for batch in rest]
    resumed.set_epoch(4)
    sampler.set_epoch(4)
    assert list(resumed) == [batch[1::2] for batch in sampler]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"classes_per_batch": 5}, "classes_per_batch was 4 and is 5"),
        ({"samples_per_class": 2}, "samples_per_class was 3 and is 2"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"labels": np.repeat(np.arange(10), 12)}, "images was 130 and is 120"),
        ({"labels": np.repeat(np.arange(13), 10)}, "labels was"),
        ({"batches_per_epoch": 3}, "batches_per_epoch was None and is 3"),
    ],
)
def test_a_state_of_another_configuration_is_refused(change, named):
    arguments = {"labels": np.repeat(np.arange(10), 13)}
    arguments |= {"classes_per_batch": 4, "samples_per_class": 3, "seed": 0}
    state = ClassBalanced(**arguments).state_dict()
    with pytest.raises(ValueError, match=named):
        ClassBalanced(**(arguments | change)).load_state_dict(state)


def test_short_classes_follow_the_policy():
    labels = np.repeat(np.arange(5), [1, 2, 4, 4, 6])
    drawn = stream(ClassBalanced(labels, 2, 4), 20).ravel()
    assert set(drawn) == set(range(17)), "repeat leaves nobody out"
    dropped = ClassBalanced(labels, 2, 4, short_classes="drop")
    assert set(labels[stream(dropped, 20).ravel()]) == {2, 3, 4}
    assert len(dropped) == 14 // 8
    with pytest.raises(ValueError, match=r"2 of 5 classes .* smallest, class 0, has 1"):
        ClassBalanced(labels, 2, 4, short_classes="error")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes_per_batch": 6}, "classes_per_batch is 6, but there are only 5 classes"),
        ({"samples_per_class": 7}, "samples_per_class is 7, but the largest class has 6"),
        (
            {"classes_per_batch": 4, "short_classes": "drop"},
            "classes_per_batch is 4, but there are only 3 classes with at least 4 images",
        ),
        ({"world_size": 3}, "batch of 8 images cannot be shared equally by 3 ranks"),
        ({"rank": 2, "world_size": 2}, r"rank must be 0\.\.1 of 2 ranks; got 2"),
        ({"samples_per_class": 0}, "samples_per_class must be 1 to .* got 0"),
    ],
)
def test_impossible_batches_are_refused_with_the_numbers(arguments, message):
    labels = np.repeat(np.arange(5), [1, 2, 4, 4, 6])
    with pytest.raises(ValueError, match=message):
        ClassBalanced(labels, **({"classes_per_batch": 2, "samples_per_class": 4} | arguments))


def test_no_labels_at_all_are_refused():
    with pytest.raises(ValueError, match="needs at least one image; got none"):
        ClassBalanced(np.zeros(0, dtype=int), 1, 1)
