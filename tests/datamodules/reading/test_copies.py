import warnings

import numpy as np
import pytest

from ranklight.datamodules.reading.copies import warn_of_copies


@pytest.fixture
def file(tmp_path):
    """`file(name, content)`: its path."""

    def written(name, content):
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return written


def content(seed, size=10_000):
    return np.random.default_rng(seed).bytes(size)


def test_copies_across_splits_are_named(file):
    splits = [
        ("train", [file("a", content(1)), file("b", content(2)), file("c", content(3))]),
        ("val", [file("d", content(2)), file("e", content(4))]),
        ("test", [file("f", content(3)), file("g", content(4)[:-1])]),
    ]
    with pytest.warns(UserWarning, match="images in more than one split.*, 2: ") as caught:
        warn_of_copies(splits)
    (warning,) = caught
    words = str(warning.message)
    assert "b (train) = " in words
    assert "d (val)" in words
    assert "f (test)" in words
    assert "e (" not in words


def test_one_file_in_two_splits_is_named(file):
    path = file("a", content(1))
    with pytest.warns(UserWarning, match=r", 1: .*/a \(train and test\)"):
        warn_of_copies([("train", [path]), ("test", [path, file("b", content(2))])])


def test_what_only_looks_alike_is_no_copy(file):
    middle = content(0, 4096)
    one = file("a", b"x" * 3000 + middle + b"y" * 3000)
    other = file("b", b"x" * 3000 + middle + b"z" * 3000)
    empty = [file(name, b"") for name in "cd"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_copies([("train", [one, empty[0]]), ("test", [other, empty[1]])])


def test_copies_within_a_split_are_not_its_business(file):
    copies = [file(name, content(1)) for name in "abc"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_copies([("train", copies[:2]), ("train", copies[2:])])


def test_it_is_said_where_too_much_would_be_read(file):
    train, test = ([file(f"{side}{n}", content(n)) for n in range(9)] for side in "ab")
    with pytest.warns(UserWarning, match="looked for in the first 0 MiB of them only"):
        warn_of_copies([("train", train), ("test", test)], most_bytes=10_000)
