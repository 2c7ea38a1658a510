import numpy as np
import pytest

from ranklight.datamodules.samplers import NearestLabels
from ranklight.datamodules.samplers.label_neighbours import label_neighbours

SIZE, K = 47, 4


def lists(size=SIZE, k=K):
    return label_neighbours(np.random.default_rng(0).random((size, 2)), k).index


def make(size=SIZE, k=K, batch_size=20, **arguments):
    return NearestLabels(size, lists(size, k), batch_size, **arguments)


@pytest.mark.parametrize(("size", "batch_size"), [(47, 20), (47, 47), (500, 20)])
@pytest.mark.parametrize("anchors", [1, 3])
def test_anchors_lead_then_their_neighbours_then_others(size, batch_size, anchors):
    sampler, near = make(size, batch_size=batch_size, anchors=anchors), lists(size)
    assert len(sampler) == -(-size // anchors)
    for batch in sampler.batches(2, 0, len(sampler)).tolist():
        assert len(set(batch)) == batch_size
        wanted = batch[:anchors]
        for anchor in batch[:anchors]:
            wanted += [image for image in near[anchor].tolist() if image not in wanted]
        assert batch[: len(wanted)] == wanted


@pytest.mark.parametrize("anchors", [1, 3])
def test_every_image_is_an_anchor_once_an_epoch(anchors):
    sampler = make(anchors=anchors)
    orders = set()
    for epoch in range(5):
        drawn = sampler.batches(epoch, 0, len(sampler))[:, :anchors].ravel()
        assert sorted(drawn[:SIZE]) == list(range(SIZE))
        assert np.array_equal(drawn[SIZE:], drawn[: len(drawn) - SIZE])
        orders.add(drawn.tobytes())
    assert len(orders) == 5


def test_the_random_part_is_drawn_afresh_and_evenly():
    sampler = make(k=0, batch_size=6)
    epochs = [sampler.batches(epoch, 0, SIZE) for epoch in range(200)]
    of_image_3 = [set(epoch[epoch[:, 0] == 3][0, 1:].tolist()) for epoch in epochs]
    assert len({frozenset(others) for others in of_image_3}) > 190
    counts = np.bincount(np.concatenate(epochs)[:, 1:].ravel(), minlength=SIZE)
    expected = 200 * SIZE * 5 / SIZE
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 80  # 46 degrees of freedom: exceeded once in 600


def test_a_batch_does_not_depend_on_how_many_are_drawn_at_once():
    sampler = make(anchors=2)
    whole = sampler.batches(1, 0, len(sampler))
    alone = [sampler.batches(1, i, i + 1)[0] for i in range(len(sampler))]
    assert np.array_equal(whole, np.stack(alone))
    assert not np.array_equal(whole, make(anchors=2, seed=1).batches(1, 0, len(sampler)))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_share_one_global_batch(world_size):
    expected = list(make())
    for rank in range(world_size):
        share = list(make(rank=rank, world_size=world_size))
        assert share == [batch[rank::world_size] for batch in expected]


def test_goes_on_from_its_state():
    sampler = make(seed=3)
    sampler.set_epoch(2)
    batches = iter(sampler)
    for _ in range(5):
        next(batches)
    state, rest = sampler.state_dict(), list(batches)
    resumed = make(seed=3)
    resumed.load_state_dict(state)
    assert resumed.sampler is resumed
    assert list(resumed) == rest
    with pytest.raises(ValueError, match="anchors was 1 and is 2"):
        make(seed=3, anchors=2).load_state_dict(state)
    with pytest.raises(ValueError, match="lists was"):
        NearestLabels(SIZE, lists()[:, ::-1].copy(), 20, seed=3).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 48}, "lists are for 47 images, the data set has 48"),
        ({"batch_size": 4}, "batch of 4 images cannot hold 1 anchors with 4 neighbours"),
        ({"anchors": 5}, "batch of 20 images cannot hold 5 anchors"),
        ({"anchors": 0}, "anchors must be 1 to .* got 0"),
        ({"batch_size": 48}, "batch_size is 48, but there are only 47 images"),
        ({"world_size": 3}, "cannot be shared equally by 3 ranks"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NearestLabels(**{"size": SIZE, "neighbours": lists(), "batch_size": 20} | arguments)


def test_lists_that_name_unknown_images_are_refused():
    wrong = lists()
    wrong[3, 1] = SIZE
    with pytest.raises(ValueError, match=r"name images 0\.\.47, the data set has 0\.\.46"):
        NearestLabels(SIZE, wrong, 20)
