import torch

from ranklight.datamodules import DigitPoses, DigitRelevance


def small(**arguments):
    sizes = {"train_scenes": 300, "val_scenes": (6, 60), "test_scenes": (10, 90)}
    data = DigitRelevance(**sizes | {"triplets_per_batch": 6} | arguments)
    data.setup()
    return data


def test_scenes_are_those_of_digit_poses_with_the_digit_in_front():
    data = small()
    poses = DigitPoses(train_scenes=300, val_scenes=(6, 60), test_scenes=(10, 90))
    poses.setup()
    assert data.split_hash == poses.split_hash
    assert torch.equal(data.train.labels[:, 1:], poses.train.labels)
    assert set(data.train.labels[:, 0].tolist()) == set(range(10))
    assert torch.equal(
        data.test[0].__getitems__([3]).images, poses.test[0].__getitems__([3]).images
    )


def test_batches_are_triplets_of_scenes():
    data = small()
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (18, 1, 48, 48)
    q, p, n = batch.labels.view(6, 3, 6).unbind(1)
    assert torch.equal(q[:, 0], p[:, 0])
    relevance = data.relevance
    better, worse = (torch.diagonal(relevance(q, other)) for other in (p, n))
    assert (better - worse >= 0.1 - 1e-6).all()


def test_triplets_of_validation_and_test_never_change_and_are_in_order():
    data = small()
    for stage, (queries, gallery) in (("val", data.val), ("test", data.test)):
        triplets = data.triplets(stage)
        assert torch.equal(triplets, small(seed=4).triplets(stage))
        assert len(triplets) > 20 * len(queries)
        rows = [
            triplets[:, c] - split.indices[0] for c, split in enumerate((queries, gallery, gallery))
        ]
        relevance = data.relevance(queries.labels, gallery.labels)
        better, worse = relevance[rows[0], rows[1]], relevance[rows[0], rows[2]]
        assert (better - worse >= 0.1).all()
        assert 0.2 < (worse == 0).float().mean() < 0.8
