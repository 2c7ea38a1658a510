import pickle

import numpy as np
import pytest
import torch

from ranklight.datamodules.reading.neighbour_files import (
    Neighbours,
    read_neighbours,
    write_neighbours,
)
from ranklight.datamodules.samplers import label_neighbours as module
from ranklight.datamodules.samplers.label_neighbours import label_neighbours, neighbours_by
from ranklight.search import backends


def labels_of(n=60, d=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def by_loops(labels, k, distance):
    """Written from the definition: other images by distance, then by index."""
    lists = []
    for i, own in enumerate(labels.tolist()):
        others = [(distance(own, y), j) for j, y in enumerate(labels.tolist()) if j != i]
        lists.append([j for _, j in sorted(others)[:k]])
    return lists


def euclidean(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5


def inner_product(a, b):
    return 1 - sum(x * y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("with_faiss", [True, False])
@pytest.mark.parametrize("k", [1, 5, 59])
def test_lists_are_the_nearest_by_distance_then_index(k, with_faiss, monkeypatch):
    if not with_faiss:
        monkeypatch.setattr(module, "faiss", lambda: None)
        monkeypatch.setattr(backends, "faiss", lambda: None)
    labels = labels_of()
    labels[30:] = labels[:30]
    with pytest.warns(UserWarning, match="60 of 60 images have another with an equal label"):
        found = label_neighbours(labels, k)
    assert found.index.tolist() == by_loops(labels, k, euclidean)
    assert found.recall == 1
    assert (np.diff(found.distance, axis=1) >= 0).all()
    assert (found.distance[:, 0] == 0).all()


def test_lists_by_inner_product():
    labels = labels_of()
    found = label_neighbours(labels, 4, inner_product=True)
    assert found.index.tolist() == by_loops(labels, 4, inner_product)


def test_lists_by_any_distance_in_blocks(monkeypatch):
    monkeypatch.setattr(module, "_ELEMENTS", 7 * 60)
    labels = (labels_of() * 2).round()
    found = neighbours_by(lambda a, b: torch.cdist(a, b, p=1), torch.from_numpy(labels), 6)
    expected = by_loops(labels, 6, lambda a, b: sum(abs(x - y) for x, y in zip(a, b, strict=True)))
    assert found.index.tolist() == expected


def test_numbers_are_labels_and_no_neighbours_may_be_asked_for():
    assert label_neighbours(torch.tensor([0.0, 5.0, 1.0]), 1).index.tolist() == [[2], [2], [0]]
    assert label_neighbours(labels_of(), 0).index.shape == (60, 0)


@pytest.mark.parametrize("inner", [True, False])
def test_an_index_finds_what_it_says_and_always_the_same(inner, monkeypatch):
    monkeypatch.setattr(module, "EXACT_BELOW", 1000)
    monkeypatch.setattr(module, "_SAMPLE", 100)
    labels = labels_of(2000, 8)
    labels /= np.linalg.norm(labels, axis=1, keepdims=True)
    found = label_neighbours(labels, 5, inner, least_recall=0.9)
    monkeypatch.setattr(module, "EXACT_BELOW", 10_000)
    exact = label_neighbours(labels, 5, inner)
    recall = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(found.index, exact.index)])  # noqa: B905
    assert found.recall >= 0.9
    assert recall == pytest.approx(found.recall, abs=0.05)
    monkeypatch.setattr(module, "EXACT_BELOW", 1000)
    again = label_neighbours(labels, 5, inner, least_recall=0.9)
    assert np.array_equal(again.index, found.index)


def test_lists_are_kept_by_content(tmp_path, monkeypatch):
    labels = labels_of()
    first = label_neighbours(labels, 3, cache_dir=str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 1

    def searched(*_):
        raise AssertionError("searched again")

    with monkeypatch.context() as patched:
        patched.setattr(module, "nearest", searched)
        again = label_neighbours(labels, 3, cache_dir=str(tmp_path))
        with pytest.raises(AssertionError):
            label_neighbours(labels, 4, cache_dir=str(tmp_path))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)
    labels[0, 0] += 1
    label_neighbours(labels, 3, cache_dir=str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_labels_that_are_not_finite_name_the_row(value):
    labels = labels_of()
    labels[17, 1] = value
    labels[20] = value
    with pytest.raises(ValueError, match=r"2 of 60 labels .*the first is that of image 17"):
        label_neighbours(labels, 3)
    with pytest.raises(ValueError, match="the first is that of image 17"):
        neighbours_by(torch.cdist, torch.from_numpy(labels), 3)
    with pytest.raises(ValueError, match="a label distance of image 4 is NaN"):
        neighbours_by(
            lambda a, b: torch.where(a == 4, torch.nan, a - b.T).abs(),
            torch.arange(9.0)[:, None],
            3,
        )


def test_constant_labels_are_refused():
    with pytest.raises(ValueError, match="all 9 labels are equal"):
        label_neighbours(np.ones((9, 2)), 3)
    with pytest.raises(ValueError, match="all label distances of 9 images are 0"):
        neighbours_by(torch.cdist, torch.ones(9, 2), 3)


def test_more_neighbours_than_images_are_refused():
    with pytest.raises(ValueError, match=r"neighbours must be 0..59, .* got 60"):
        label_neighbours(labels_of(), 60)
    with pytest.raises(ValueError, match=r"neighbours must be 0..2, .* got 3"):
        neighbours_by(torch.cdist, torch.rand(3, 2), 3)


def test_files_of_lists(tmp_path):
    found = label_neighbours(labels_of(), 3)
    path = str(tmp_path / "deep" / "lists.npz")
    write_neighbours(path, found)
    read = read_neighbours(path, 60, k=2)
    assert np.array_equal(read.index, found.index[:, :2])
    assert np.array_equal(read.distance, found.distance[:, :2])
    np.savez(tmp_path / "bare.npz", index=found.index)
    assert np.isnan(read_neighbours(str(tmp_path / "bare.npz"), 60).distance).all()


def test_lists_of_other_data_are_refused(tmp_path):
    found = label_neighbours(labels_of(), 3)
    path = str(tmp_path / "lists.npz")
    write_neighbours(path, found)
    with pytest.raises(ValueError, match="neighbours of 60 images, the data has 61"):
        read_neighbours(path, 61)
    with pytest.raises(ValueError, match="holds 3 neighbours an image, 4 are needed"):
        read_neighbours(path, 60, k=4)
    for wrong, message in ((60, r"names images 0\.\.60"), (7, "lists image 7 as its own")):
        index = found.index.copy()
        index[7, 2] = wrong
        write_neighbours(path, Neighbours(index, found.distance, 1.0))
        with pytest.raises(ValueError, match=message):
            read_neighbours(path, 60)
    np.savez(tmp_path / "other.npz", lists=found.index)
    with pytest.raises(ValueError, match="has no array `index`; it has lists"):
        read_neighbours(str(tmp_path / "other.npz"), 60)


def test_the_papers_pair_of_pickles(tmp_path):
    found = label_neighbours(labels_of(), 59)
    for name, lists in (("list_nn", found.index), ("dist_nn", found.distance)):
        content = {"trn": lists.tolist(), "val": [[0]]}
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(content, 2))
    path, distances = str(tmp_path / "list_nn.pkl"), str(tmp_path / "dist_nn.pkl")
    read = read_neighbours(path, 60, 5, distances)
    assert np.array_equal(read.index, found.index[:, :5])
    assert np.array_equal(read.distance, found.distance[:, :5])
    assert np.isnan(read_neighbours(path, 60).distance).all()
    with pytest.raises(ValueError, match="must hold a dict with the key tst"):
        read_neighbours(path, 60, part="tst")
    with pytest.raises(ValueError, match="neighbours of 60 images, the data has 50"):
        read_neighbours(path, 50)
    content = {"trn": found.distance[:, ::-1].tolist()}
    (tmp_path / "dist_nn.pkl").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(ValueError, match="not ascending"):
        read_neighbours(path, 60, 5, distances)
