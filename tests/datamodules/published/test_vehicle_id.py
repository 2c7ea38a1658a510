import pytest

from ranklight.datamodules import VehicleID
from tests.trees import vehicle_id


@pytest.fixture
def root(tmp_path):
    vehicle_id(tmp_path)
    return tmp_path


def built(root, **options):
    small = {"check_counts": False, "classes_per_batch": 2, "samples_per_class": 2}
    small |= {"image_size": 8, "num_workers": 0, "validation_fraction": 0.25}
    data = VehicleID(str(root), **small | options)
    data.setup()
    return data


def test_one_drawn_image_of_each_vehicle_is_the_gallery(root):
    drawn = set()
    for seed in range(5):
        queries, gallery = built(root, split_seed=seed).test
        assert sorted(gallery.labels.tolist()) == sorted(set(queries.labels.tolist()))
        assert (len(queries), len(gallery)) == (6, 3)
        drawn.add(tuple(gallery.files))
    assert built(root, split_seed=4).test[1].files == gallery.files
    assert len(drawn) > 1


def test_retrieval_has_one_loader(root):
    data = built(root, protocol="retrieval", test_list="large")
    assert len(data.test) == 9
    assert {file[-11:-4] for file in data.test.files} >= {"0010100", "0010302"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0000001", "needed 'image vehicle'; got '0000001'"),
        ("0000001 red", "the vehicle must be a number from 0 on; got 'red'"),
        ("0000100 1", "the class occurs in training too"),
    ],
)
def test_lines_that_cannot_be(root, line, message):
    file = root / "train_test_split" / "test_list_800.txt"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(ValueError, match=f"{file}, line 10: {message}"):
        built(root)


def test_counts_are_those_of_the_list(root, unchecked):
    with pytest.raises(ValueError, match="113346 train images, but 24 were read"):
        built(root, check_counts=True)
    with pytest.raises(
        ValueError, match="test_list must be one of small, medium, large; got 'big'"
    ):
        VehicleID(str(root), "big")
    assert VehicleID(str(root), "medium").published["query"] == 11777
    assert VehicleID(str(root), "large", "retrieval").published["test"] == 19777
