import numpy as np
import pytest

from ranklight.datamodules import long_tail

LABELS = np.repeat(np.arange(10), 100)


def test_exponential():
    kept = long_tail(LABELS, 100.0, "exponential")
    counts = np.sort(np.bincount(LABELS[kept], minlength=10))[::-1]
    assert counts.tolist() == [round(100 * 100 ** (-rank / 9)) for rank in range(10)]


def test_step():
    counts = np.bincount(LABELS[long_tail(LABELS, 20.0, "step")])
    assert sorted(counts) == [5] * 5 + [100] * 5


def test_shares_are_of_a_class_s_own_images_and_none_is_lost():
    labels = [0] * 3 + [1] * 1000 + [2] * 40
    counts = np.bincount([labels[index] for index in long_tail(labels, 1000.0, "step", seed=2)])
    assert min(counts) >= 1
    assert {count for count in counts if count > 1} <= {3, 40, 1000}


def test_ratio_1_keeps_all_and_seeds_differ():
    assert long_tail(LABELS, 1.0).tolist() == list(range(1000))
    one, again, other = (long_tail(LABELS, 10.0, seed=seed) for seed in (0, 0, 1))
    assert one.tolist() == again.tolist() != other.tolist()
    assert (np.diff(one) > 0).all()
    assert np.bincount(LABELS[one]).tolist() != np.bincount(LABELS[other]).tolist()


@pytest.mark.parametrize("ratio", [0.5, float("nan")])
def test_a_ratio_below_1_is_refused(ratio):
    with pytest.raises(ValueError, match=f"imbalance_ratio .*got {ratio}"):
        long_tail(LABELS, ratio)
