import pickle

import numpy as np
import pytest
import torch

from ranklight.datamodules import MPIIPose, PoseDistances
from ranklight.datamodules.published.mpii_pose import MirroredEpochs
from tests.trees import mpii_pose

TRAIN, TEST = 40, 12


@pytest.fixture
def root(tmp_path):
    """The folder, and the pose distance of any two images."""
    return tmp_path, mpii_pose(tmp_path, TRAIN, TEST)


def make(root, **arguments):
    settings = {"batch_size": 16, "neighbours": 3, "queries": 4, "num_workers": 0}
    data = MPIIPose(str(root), **settings | arguments)
    data.setup()
    return data


def test_splits_are_the_releases_and_a_held_out_part(root):
    data = make(root[0])
    assert data.test[0].labels.tolist() == [40, 41, 42, 43]
    assert data.test[1].labels.tolist() == list(range(44, 52))
    parts = [data.train.labels, *(split.labels for split in data.val)]
    assert sorted(torch.cat(parts).tolist()) == list(range(40))
    assert [len(part) for part in parts] == [36, 1, 3]
    loaders = data.val_dataloader() + data.test_dataloader()
    assert [sum(len(batch.index) for batch in loader) for loader in loaders] == [1, 3, 4, 8]
    assert next(iter(loaders[0])).images.shape == (1, 3, 224, 224)


def test_batches_hold_the_nearest_poses_that_are_not_held_out(root):
    folder, distance = root
    data = make(folder)
    batch = next(iter(data.train_dataloader()))
    anchor, kept = int(batch.labels[0]), set(data.train.labels.tolist())
    order = [j for j in np.argsort(distance[anchor, :TRAIN], kind="stable") if j in kept]
    wanted = distance[anchor, order[1:4]]
    assert distance[anchor, batch.labels[1:4].numpy()].tolist() == wanted.tolist()


def test_relevance_is_that_of_the_files(root):
    folder, distance = root
    relevance = PoseDistances(str(folder), unit=2.0)
    for own, others in (([3, 5], [0, 5, 39]), ([40, 51], [41, 45, 51])):
        expected = 1 - distance[np.ix_(own, others)] / 2
        assert relevance(torch.tensor(own), torch.tensor(others)).numpy() == pytest.approx(expected)
    with pytest.raises(ValueError, match="no pose distance between them"):
        relevance(torch.tensor([1]), torch.tensor([41]))


def test_an_epoch_is_mirrored_as_a_whole(root):
    data = make(root[0])
    left_is_light = [
        {bool(image[:, :, 30].float().mean() > image[:, :, -30].float().mean()) for image in images}
        for images in (
            data.train.__getitems__([(epoch, 1), (epoch, 9)]).images for epoch in range(8)
        )
    ]
    assert all(len(sides) == 1 for sides in left_is_light)
    assert len(set.union(*left_is_light)) == 2
    assert isinstance(data.train, MirroredEpochs)


def test_what_is_missing_or_wrong_is_named(root, tmp_path):
    folder = root[0]
    with pytest.raises(ValueError, match="12 queries leave no gallery"):
        make(folder, queries=12)
    with pytest.raises(ValueError, match="does not list 38 neighbours"):
        make(folder, neighbours=38)
    lists = pickle.loads((folder / "list_nn.pkl").read_bytes())
    (folder / "list_nn.pkl").write_bytes(pickle.dumps({"trn": lists["trn"][:-1]}))
    with pytest.raises(ValueError, match="lists neighbours of 39 images, the data has 40"):
        make(folder)
    (folder / "list_nn.pkl").write_bytes(pickle.dumps({"val": []}))
    with pytest.raises(ValueError, match="must hold a dict with the key trn"):
        make(folder)
    with pytest.raises(FileNotFoundError, match="nowhere/0 does not exist"):
        make(tmp_path / "nowhere")
