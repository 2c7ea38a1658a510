import numpy as np
import pytest

from ranklight.datamodules.samplers import RelevanceTriplets, TripletRule

CLASSES = np.arange(200) % 4


def of_pairs(i, j):
    return np.exp(-np.abs(i - j) / 50.0)


def make(**arguments):
    return RelevanceTriplets(
        **{"classes": CLASSES, "of_pairs": of_pairs, "triplets_per_batch": 8, "buffer_size": 10}
        | arguments
    )


def as_triplets(batch):
    return sorted(tuple(batch[i : i + 3]) for i in range(0, len(batch), 3))


def test_batches_are_triplets_by_relevance():
    sampler = make(rule=TripletRule(out_of_class=0.2, margin=0.1))
    assert len(sampler) == 200 // 24
    outside = 0
    for epoch in range(6):
        for q, p, n in sampler.batches(epoch, 0, len(sampler)).reshape(-1, 3):
            assert CLASSES[q] == CLASSES[p]
            assert q != p
            outside += CLASSES[n] != CLASSES[q]
            if CLASSES[n] == CLASSES[q]:
                assert of_pairs(q, p) - of_pairs(q, n) >= 0.1
    assert 0.1 < outside / (6 * 8 * 8) < 0.4


def test_a_batch_is_a_function_of_seed_epoch_and_position():
    sampler = make(batches_per_epoch=12)
    whole = sampler.batches(3, 0, 12)
    assert np.array_equal(make(batches_per_epoch=12).batches(3, 7, 9), whole[7:9])
    assert np.array_equal(sampler.batches(3, 2, 4), whole[2:4])
    assert not np.array_equal(sampler.batches(4, 0, 12), whole)
    assert not np.array_equal(make(batches_per_epoch=12, seed=1).batches(3, 0, 12), whole)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_share_the_triplets_of_one_global_batch(world_size):
    expected = list(make())
    ranks = [list(make(rank=rank, world_size=world_size)) for rank in range(world_size)]
    for position, batch in enumerate(expected):
        shares = [share[position] for share in ranks]
        whole = [triplet for share in shares for triplet in as_triplets(share)]
        assert sorted(whole) == as_triplets(batch)
        plain = [batch[i : i + 3] for i in range(0, len(batch), 3)]
        assert shares[0] == [image for triplet in plain[::world_size] for image in triplet]


def test_goes_on_from_its_state():
    sampler = make(seed=3, batches_per_epoch=10)
    sampler.set_epoch(2)
    batches = iter(sampler)
    for _ in range(4):
        next(batches)
    state, rest = sampler.state_dict(), list(batches)
    resumed = make(seed=3, batches_per_epoch=10)
    resumed.load_state_dict(state)
    assert resumed.sampler is resumed
    assert list(resumed) == rest
    with pytest.raises(ValueError, match=r"margin was 0\.1 and is 0\.3"):
        make(seed=3, batches_per_epoch=10, rule=TripletRule(margin=0.3)).load_state_dict(state)


def test_statistics():
    sampler = make()
    list(sampler)
    statistics = sampler.statistics()
    assert 0 < statistics["acceptance"] <= 1
    assert 0 <= statistics["given_up"] < 1
    assert 0 < statistics["buffer_age"] < 200


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="relevance is 0 for every pair"):
        make(of_pairs=lambda i, j: np.zeros(len(i)))
    with pytest.raises(ValueError, match="total relevance of image 0 is nan"):
        make(of_pairs=lambda i, j: np.full(len(i), np.nan))
    with pytest.raises(ValueError, match="8 triplets a batch cannot be shared equally by 3"):
        make(world_size=3)
