import pytest

from ranklight.datamodules import ImageFolder, LFWPairs
from tests.trees import image_folder, lfw_pairs


@pytest.fixture
def root(tmp_path):
    lfw_pairs(tmp_path)
    return tmp_path


def built(root, stage="test", **options):
    data = LFWPairs(str(root), image_size=8, num_workers=0, **{"check_counts": False} | options)
    data.setup(stage)
    return data


def test_pairs_name_images_of_their_split(root):
    data = built(root)
    assert data.class_names == ["Ann_Lee", "Bo", "Cy_Day"]
    for stage, split in (("val", data.val), ("test", data.test)):
        pairs, same, *_ = data.pairs(stage)
        file = dict(zip(split.indices.tolist(), split.files, strict=True))
        found = [tuple(file[image].rpartition("/")[2] for image in pair) for pair in pairs.tolist()]
        assert set(found) == {
            ("Ann_Lee_0001.jpg", "Ann_Lee_0002.jpg"),
            ("Bo_0001.jpg", "Bo_0003.jpg"),
            ("Ann_Lee_0001.jpg", "Bo_0002.jpg"),
            ("Bo_0001.jpg", "Cy_Day_0003.jpg"),
        }
        assert same.tolist() == [one.split("_0")[0] == two.split("_0")[0] for one, two in found]
        assert len(split) == 6
        people = [data.class_names[label] for label in split.labels.tolist()]
        assert people == [file.split("/")[-2] for file in split.files]


def test_the_ten_sets_of_view_2_are_folds(root):
    data = built(root)
    assert data.pairs("test")[2].tolist() == [0, 0, 1, 1]
    assert len(data.pairs("val")) == 2


def test_training_is_on_other_faces(root, tmp_path):
    image_folder(tmp_path / "faces")
    options = {"image_size": 8, "num_workers": 0, "classes_per_batch": 2, "samples_per_class": 2}
    with pytest.raises(ValueError, match="seed of training changes nothing, for LFWPairs gives it"):
        built(root, "fit", training=ImageFolder(str(tmp_path / "faces"), seed=5, **options))
    data = built(root, "fit", training=ImageFolder(str(tmp_path / "faces"), **options))
    assert next(iter(data.train_dataloader())).images.shape == (4, 3, 8, 8)
    assert sum(len(batch.index) for batch in data.val_dataloader()) == 6
    assert data.val.labels.min() == data.num_classes == 8
    with pytest.raises(ValueError, match="LFWPairs has no images to train on"):
        built(root, "fit")


def test_what_cannot_be_is_named(root):
    with pytest.raises(ValueError, match="1100 pairs of one person"):
        built(root, check_counts=True)
    (root / "lfw" / "Bo" / "Bo_0003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 6 image files of pairs.* first .*Bo_0003"):
        built(root)
