import numpy as np
import pytest

from ranklight.datamodules.examination import Pictures, find_copies

NONE = -1


def pictures(contents, hashes=None, uniform=(), broken=(), colours=None):
    count = len(contents)
    draw = np.random.default_rng(0)
    return Pictures(
        content=np.array([[content, 1] for content in contents], np.uint64),
        hashes=draw.integers(0, 2**64, count, dtype=np.uint64) if hashes is None else hashes,
        colours=np.zeros((count, 48), np.uint8) if colours is None else colours,
        sides=np.full((count, 2), 32, np.int32),
        uniform=np.isin(np.arange(count), uniform),
        readable=~np.isin(np.arange(count), broken),
        broken=[],
    )


def copies(seen, splits, labels=None, indices=None):
    count = len(splits)
    labels = np.zeros(count, int) if labels is None else np.array(labels)
    indices = np.arange(count) if indices is None else np.array(indices)
    return find_copies(seen, np.array(splits), labels, indices)


def test_exact_copies_in_another_split_name_the_earliest():
    found = copies(pictures([7, 8, 7, 9, 7]), splits=[0, 0, 0, 1, 2])
    assert found.exact_in_another_split.tolist() == [NONE, NONE, NONE, NONE, 0]
    assert (found.exact_with_other_labels == NONE).all()


@pytest.mark.parametrize(
    "labels", [[0, 1, 0], [[1, 0], [1, 1], [1, 0]], [[0.5, 2.0], [0.5, 2.5], [0.5, 2.0]]]
)
def test_other_labels_of_any_kind(labels):
    found = copies(pictures([7, 7, 7]), splits=[0, 0, 0], labels=labels)
    assert found.exact_with_other_labels.tolist() == [NONE, 0, NONE]
    assert (found.exact_in_another_split == NONE).all()


def test_near_copies_are_of_other_bytes():
    hashes = np.array([0b1111, 0b0011, 0, 2**64 - 1], np.uint64)
    found = copies(pictures([1, 2, 3, 4], hashes), splits=[0, 1, 2, 1], labels=[0, 0, 5, 0])
    assert found.near_in_another_split[1] == 0
    assert found.near_in_another_split[2] in (0, 1)
    assert found.near_in_another_split[3] == NONE
    assert found.near_with_other_labels[2] in (0, 1)
    assert found.near_with_other_labels[1] == NONE
    assert (found.exact_in_another_split == NONE).all()


def test_pictures_of_other_colours_are_none():
    colours = np.zeros((2, 48), np.uint8)
    colours[1] = 60
    seen = pictures([1, 2], np.zeros(2, np.uint64), colours=colours)
    assert (copies(seen, splits=[0, 1]).near_in_another_split == NONE).all()


@pytest.mark.parametrize("odd", [{"uniform": [0, 1]}, {"broken": [1]}])
def test_one_colour_and_broken_ones_have_no_near_copies(odd):
    seen = pictures([1, 2], np.zeros(2, np.uint64), **odd)
    assert (copies(seen, splits=[0, 1]).near_in_another_split == NONE).all()


def test_an_image_in_two_splits_is_no_copy_of_itself():
    found = copies(pictures([7, 7]), splits=[1, 2], indices=[4, 4])
    assert all((each == NONE).all() for each in found)
