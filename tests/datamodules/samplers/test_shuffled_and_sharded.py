import numpy as np
import pytest

from ranklight.datamodules.samplers import Sharded, Shuffled


def test_shuffled_visits_no_image_twice_and_every_epoch_differs():
    sampler = Shuffled(23, 5)
    epochs = [sampler.batches(epoch, 0, len(sampler)) for epoch in range(40)]
    assert len(sampler) == 4
    assert all(len(np.unique(epoch)) == 20 for epoch in epochs)
    assert len({epoch.tobytes() for epoch in epochs}) == 40
    assert set(np.concatenate(epochs).ravel()) == set(range(23))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_shuffled_ranks_share_one_global_batch(world_size):
    expected = list(Shuffled(100, 8))
    for rank in range(world_size):
        share = list(Shuffled(100, 8, rank=rank, world_size=world_size))
        assert share == [batch[rank::world_size] for batch in expected]


def test_shuffled_goes_on_from_its_state():
    sampler = Shuffled(100, 8, seed=3)
    sampler.set_epoch(2)
    batches = iter(sampler)
    next(batches)
    state, rest = sampler.state_dict(), list(batches)
    resumed = Shuffled(100, 8, seed=3)
    resumed.load_state_dict(state)
    assert list(resumed) == rest
    with pytest.raises(ValueError, match="batch_size was 8 and is 4"):
        Shuffled(100, 4, seed=3).load_state_dict(state)


def test_shuffled_refuses_a_batch_larger_than_the_data():
    with pytest.raises(ValueError, match="batch_size is 8, but there are only 7 images"):
        Shuffled(7, 8)


@pytest.mark.parametrize(("size", "world_size"), [(13, 1), (13, 2), (13, 4), (2, 4), (0, 2)])
def test_shards_hold_every_image_exactly_once(size, world_size):
    shards = [Sharded(size, rank, world_size) for rank in range(world_size)]
    assert sorted(image for shard in shards for image in shard) == list(range(size))
    assert sum(len(shard) for shard in shards) == size
    assert all(len(list(shard)) == len(shard) for shard in shards)


def test_a_shard_of_no_rank_is_refused():
    with pytest.raises(ValueError, match="got 3"):
        Sharded(10, 3, 3)
