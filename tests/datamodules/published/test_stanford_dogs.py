import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from ranklight.datamodules import StanfordDogs

CHIHUAHUA, HUNTING = "n02085620-Chihuahua", "n02116738-African_hunting_dog"
TRAIN = [(f"{CHIHUAHUA}/{name}.jpg", 1) for name in "ab"]
TRAIN += [(f"{HUNTING}/{name}.jpg", 120) for name in "cd"]
TEST = [(f"{CHIHUAHUA}/e.jpg", 1)]


def write(folder, name, images, labels=None):
    paths = np.array([[path] for path, _ in images], dtype=object)
    labels = [label for _, label in images] if labels is None else labels
    savemat(folder / name, {"file_list": paths, "labels": np.array(labels)[:, None]})


@pytest.fixture
def root(tmp_path):
    for path, _ in TRAIN + TEST:
        file = tmp_path / "Images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10)).save(file)
    write(tmp_path, "train_list.mat", TRAIN)
    write(tmp_path, "test_list.mat", TEST)
    return tmp_path


def built(root, **options):
    small = {"check_counts": False, "batch_size": 2, "image_size": 8, "num_workers": 0}
    data = StanfordDogs(str(root), **small | {"validation_fraction": 0.5} | options)
    data.setup()
    return data


def test_parts_labels_and_names(root):
    with pytest.warns(UserWarning, match="118 of 120 classes never occur"):
        data = built(root)
    assert data.train.labels.tolist() == data.val.labels.tolist() == [0, 119]
    assert data.test.labels.tolist() == [0]
    assert data.class_names[0] == "Chihuahua"
    assert data.class_names[119] == "African_hunting_dog"


def test_lists_in_a_folder_of_their_own(root):
    (root / "lists").mkdir()
    for name in ("train_list.mat", "test_list.mat"):
        (root / name).rename(root / "lists" / name)
    assert len(built(root).test) == 1


def test_what_cannot_be(root):
    with pytest.raises(ValueError, match="12000 train images, but 4 were read"):
        built(root, check_counts=True)
    write(root, "test_list.mat", TEST, [121])
    with pytest.raises(ValueError, match=r"test_list.mat, entry 1: the class must be 1..120; got"):
        built(root)
    write(root, "test_list.mat", TEST, [1, 1])
    with pytest.raises(ValueError, match=r"test_list.mat: 1 entries of file_list, 2 labels"):
        built(root)
    write(root, "test_list.mat", [("n0-No/no.jpg", 1)])
    with pytest.raises(FileNotFoundError, match=r"test_list.mat, entry 1: refers to .*no.jpg"):
        built(root)
