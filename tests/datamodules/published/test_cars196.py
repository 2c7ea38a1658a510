import numpy as np
import pytest
from scipy.io import savemat

from ranklight.datamodules import Cars196
from tests.trees import cars196

CARS = [(1, 0), (1, 0), (1, 1), (98, 0), (98, 0), (98, 1), (99, 0), (99, 0), (196, 1)]


@pytest.fixture
def root(tmp_path):
    cars196(tmp_path, CARS)
    return tmp_path


def built(root, **options):
    small = {"check_counts": False, "batch_size": 2, "image_size": 8, "num_workers": 0}
    data = Cars196(str(root), **small | {"validation_fraction": 0.5} | options)
    data.setup()
    return data


def test_classification(root):
    with pytest.warns(UserWarning, match="193 of 196 classes never occur"):
        data = built(root)
    assert data.test.indices.tolist() == [2, 5, 8]
    assert data.train.labels.tolist() == data.val.labels.tolist() == [0, 97, 98]
    assert data.class_names[195] == "Car 196"


def test_retrieval_is_class_disjoint(root):
    data = built(root, protocol="retrieval")
    assert data.test.labels.tolist() == [98, 98, 195]
    assert {*data.train.labels.tolist()} ^ {*data.val.labels.tolist()} == {0, 97}


@pytest.mark.parametrize(("protocol", "count"), [("classification", 8144), ("retrieval", 8054)])
def test_the_published_counts_are_asked_for(root, protocol, count):
    with pytest.raises(ValueError, match=f"{count} train images, but 6 were read"):
        built(root, protocol=protocol, check_counts=True)


def test_what_cannot_be(root):
    cars196(root, [*CARS[:8], (197, 0)])
    with pytest.raises(ValueError, match=r"annos.mat, annotations entry 9: the class must be 1..1"):
        built(root)
    cars196(root, [*CARS, (1, 0)])
    (root / "car_ims" / "000010.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"annotations entry 10: refers to .*000010.jpg"):
        built(root)
    savemat(root / "cars_annos.mat", {"annotations": np.zeros(2), "class_names": ["a"]})
    with pytest.raises(ValueError, match="needed the field 'relative_im_path'"):
        built(root)
    (root / "cars_annos.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(ValueError, match=r"cars_annos.mat is no readable MATLAB file"):
        built(root)
