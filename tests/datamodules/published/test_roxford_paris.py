import pickle

import pytest

from ranklight.datamodules import GLDv2, ImageFolder, ROxfordParis
from tests.trees import SIDE, gldv2, ground_truth, image_folder, roxford_paris


@pytest.fixture
def root(tmp_path):
    roxford_paris(tmp_path)
    return tmp_path


def built(root, stage="test", **options):
    small = {"check_counts": False, "image_size": 8, "num_workers": 0}
    data = ROxfordParis(str(root), **small | options)
    data.setup(stage)
    return data


def test_queries_are_seen_in_their_boxes(root):
    queries, gallery = built(root).test
    assert queries.picture(0).shape == (3, SIDE // 2, SIDE // 2)
    assert gallery.picture(0).shape == (3, SIDE, SIDE)
    assert (queries.indices.tolist(), gallery.indices.tolist()) == ([0, 1], [2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("setup", "relevant", "junk"),
    [("easy", [2], [3, 4, 5]), ("medium", [2, 3, 4], [5]), ("hard", [3, 4], [2, 5])],
)
def test_setups(root, setup, relevant, junk):
    pairs = built(root, city="rparis6k").relevant_pairs("test")[setup]
    for found, wanted in ((pairs.relevant, relevant), (pairs.junk, junk)):
        assert sorted(found.tolist()) == [[query, image] for query in (0, 1) for image in wanted]


def test_distractors_are_more_gallery(root):
    data = built(root, distractors=True)
    assert len(data.test[1]) == 6
    assert data.test[1].files[-1].endswith("revisitop1m/jpg/0/far.jpg")


def test_training_is_that_of_another_data_module(root, tmp_path):
    image_folder(tmp_path / "train")
    options = {"image_size": 8, "num_workers": 0, "classes_per_batch": 2, "samples_per_class": 2}
    training = ImageFolder(str(tmp_path / "train"), **options)
    data = built(root, "fit", training=training, seed=3)
    assert (training.seed, data.num_classes) == (3, 8)
    assert next(iter(data.train_dataloader())).images.shape == (4, 3, 8, 8)
    assert sum(len(batch.index) for batch in data.val_dataloader()) == len(training.val)
    assert data.relevant_pairs("val") == {}
    assert data.test[0].labels.min() == 8
    assert data.state_dict() == training.state_dict()


def test_validation_may_have_a_list_of_its_own(root, tmp_path):
    gldv2(tmp_path / "gld")
    training = GLDv2(str(tmp_path / "gld"), batch_size=4, check_counts=False)
    data = built(root, "fit", training=training)
    assert list(data.relevant_pairs("val")) == [""]


def test_nothing_to_train_on_is_said(root):
    with pytest.raises(ValueError, match="ROxfordParis has no images to train on: give `training`"):
        built(root, "fit")


class _Wicked:
    def __reduce__(self):
        return print, ("executed",)


def test_a_ground_truth_that_cannot_be(root, capsys):
    file = root / "roxford5k" / "gnd_roxford5k.pkl"
    beyond = ground_truth()
    beyond["gnd"][1]["junk"] = [5]
    for content, message in (
        (_Wicked(), "not a pickle of plain lists and arrays: it asks for builtins.print"),
        ({"imlist": []}, "needs imlist, qimlist, and gnd with bbx, easy, hard and junk"),
        (beyond, r"query 2: lists gallery images 0\.\.5, and there are 0\.\.4"),
        (ground_truth() | {"qimlist": ["hall_1"]}, r"1 queries need as many boxes"),
        (ground_truth(gallery="abcdf"), r"refers to the image .*/f.jpg, which does not exist"),
    ):
        file.write_bytes(pickle.dumps(content))
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            built(root)
    assert "executed" not in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="there is no annotation file"):
        built(root / "nowhere")


def test_the_published_counts_are_asked_for(root):
    with pytest.raises(ValueError, match="70 query images, but 2 were read"):
        built(root, check_counts=True)
