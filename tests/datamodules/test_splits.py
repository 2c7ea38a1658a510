import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklight.datamodules import hold_out, split_hash


@given(st.lists(st.integers(-3, 8), min_size=2), st.floats(0.05, 0.95), st.integers(0, 9))
def test_class_disjoint_parts_share_no_class(labels, fraction, seed):
    labels = np.array(labels)
    classes = len(set(labels))
    if classes == 1:
        with pytest.raises(ValueError, match="leaves nothing for evaluation"):
            hold_out(labels, fraction, "class_disjoint", seed)
        return
    rest, held_out = hold_out(labels, fraction, "class_disjoint", seed)
    assert sorted([*rest, *held_out]) == list(range(len(labels)))
    assert not set(labels[rest]) & set(labels[held_out])
    assert len(set(labels[held_out])) == min(max(1, round(fraction * classes)), classes - 1)


@given(st.lists(st.integers(2, 12), min_size=1), st.floats(0.3, 0.7), st.integers(0, 9))
def test_image_disjoint_parts_share_every_class_and_no_image(counts, fraction, seed):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    rest, held_out = hold_out(labels, fraction, "image_disjoint", seed)
    assert sorted([*rest, *held_out]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        assert (labels[held_out] == label).sum() == round(fraction * count)


def test_parts_follow_the_seed():
    labels = np.repeat(np.arange(20), 5)
    for how in ("class_disjoint", "image_disjoint"):
        held = [hold_out(labels, 0.4, how, seed)[1].tolist() for seed in (0, 0, 1)]
        assert held[0] == held[1] != held[2]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    with pytest.raises(ValueError, match=f"between 0 and 1; got {fraction}"):
        hold_out([0, 1], fraction, "class_disjoint", 0)


@pytest.mark.parametrize("how", ["class_disjoint", "image_disjoint"])
def test_folds_are_everything_once_and_nearly_of_one_size(how):
    labels = np.repeat(np.arange(11), 6)
    folds = [hold_out(labels, (number, 3), how, seed=4)[1] for number in range(3)]
    assert sorted(np.concatenate(folds)) == list(range(66))
    if how == "class_disjoint":
        assert sorted(len(set(labels[fold])) for fold in folds) == [3, 4, 4]
        assert all(len(fold) % 6 == 0 for fold in folds)
    else:
        assert [np.bincount(labels[fold]).tolist() for fold in folds] == [[2] * 11] * 3


def test_a_class_of_one_image_is_in_no_fold_of_images():
    labels = np.array([0, 0, 0, 7])
    assert all(3 in hold_out(labels, (number, 2), "image_disjoint", 0)[0] for number in range(2))


@pytest.mark.parametrize("fold", [(0, 1), (3, 3), (-1, 3)])
def test_a_fold_that_there_is_not_is_refused(fold):
    with pytest.raises(ValueError, match=re.escape(f"got {list(fold)}")):
        hold_out(np.arange(9), fold, "class_disjoint", 0)


def test_folds_of_one_class_alone_are_refused():
    with pytest.raises(ValueError, match="3 folds of 10 images in 5 classes"):
        hold_out(np.repeat(np.arange(5), 2), (0, 3), "class_disjoint", 0)


def test_single_images_cannot_be_held_out_of_their_class():
    with pytest.raises(ValueError, match=r"3 images in 3 classes, image_disjoint"):
        hold_out([0, 1, 2], 0.5, "image_disjoint", 0)


def test_split_hash_names_the_sets():
    assert split_hash([3, 1], [2]) == split_hash([1, 3], np.array([2]))
    assert split_hash([1, 3], [2]) != split_hash([1], [3, 2])
    assert split_hash([1], [3, 2]) != split_hash([1, 3, 2], [])
