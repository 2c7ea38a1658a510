import pytest

from ranklight.datamodules import StanfordDogs
from tests.trees import CHIHUAHUA, HUNTING_DOG, dogs_list, stanford_dogs

TRAIN = {f"{CHIHUAHUA}/{name}.jpg": 1 for name in "ab"}
TRAIN |= {f"{HUNTING_DOG}/{name}.jpg": 120 for name in "cd"}
TEST = {f"{CHIHUAHUA}/e.jpg": 1}


@pytest.fixture
def root(tmp_path):
    stanford_dogs(tmp_path, TRAIN, TEST)
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
    dogs_list(root / "test_list.mat", [121], TEST)
    with pytest.raises(ValueError, match=r"test_list.mat, entry 1: the class must be 1..120; got"):
        built(root)
    dogs_list(root / "test_list.mat", [1, 1], TEST)
    with pytest.raises(ValueError, match=r"test_list.mat: 1 entries of file_list, 2 labels"):
        built(root)
    dogs_list(root / "test_list.mat", {"n0-No/no.jpg": 1})
    with pytest.raises(FileNotFoundError, match=r"test_list.mat, entry 1: refers to .*no.jpg"):
        built(root)
