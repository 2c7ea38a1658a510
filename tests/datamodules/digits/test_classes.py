import numpy as np
import pytest
import torch

from ranklight.datamodules import DigitClasses


def built(**options):
    data = DigitClasses(**{"batch_size": 32} | options)
    data.setup()
    return data


def counts(split):
    return np.bincount(split.labels, minlength=10)


def test_all_ten_classes_in_every_split_and_no_digit_in_two():
    data = built()
    indices = [set(split.indices.tolist()) for split in (data.train, data.val, data.test)]
    assert sum(map(len, indices)) == len(set.union(*indices)) == 1797
    for split, least in ((data.train, 104), (data.val, 25), (data.test, 43)):
        assert counts(split).min() >= least
        assert counts(split).max() <= 1.1 * least


def test_only_training_is_imbalanced():
    plain, tail = built(), built(imbalance_ratio=20.0, imbalance_shape="step")
    assert sorted(counts(tail.train)) == [5] * 5 + sorted(counts(tail.train))[5:]
    assert torch.equal(plain.val.indices, tail.val.indices)
    assert torch.equal(plain.test.indices, tail.test.indices)
    assert set(tail.train.indices.tolist()) < set(plain.train.indices.tolist())
    assert plain.split_hash != tail.split_hash


def test_a_training_seed_changes_neither_the_data_nor_the_evaluation():
    one, two = built(), built(seed=5)
    assert one.split_hash == two.split_hash
    positions = list(range(4))
    assert torch.equal(
        one.test.__getitems__(positions).images, two.test.__getitems__(positions).images
    )
    keys = [(0, position) for position in positions]
    assert not torch.equal(one.train.__getitems__(keys).images, two.train.__getitems__(keys).images)
    assert next(iter(one.train_dataloader())).index.tolist() != (
        next(iter(two.train_dataloader())).index.tolist()
    )


def test_p_by_k_or_shuffled():
    batch = next(iter(built(batch_size=24).train_dataloader()))
    assert batch.images.shape == (24, 1, 32, 32)
    balanced = built(batch_size=None, classes_per_batch=8, samples_per_class=4)
    batch = next(iter(balanced.train_dataloader()))
    assert sorted(np.unique(batch.labels, return_counts=True)[1]) == [4] * 8


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"classes_per_batch": 8},
        {"samples_per_class": 4},
        {"batch_size": 32, "classes_per_batch": 8, "samples_per_class": 4},
        {"batch_size": 32, "samples_per_class": 4},
    ],
)
def test_exactly_one_way_to_make_batches(numbers):
    with pytest.raises(
        ValueError, match=r"either classes_per_batch and samples_per_class .* or batch_size"
    ):
        DigitClasses(**numbers)
