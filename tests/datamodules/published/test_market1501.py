import pytest

from ranklight.datamodules import Market1501
from tests.trees import market1501, picture


@pytest.fixture
def root(tmp_path):
    market1501(tmp_path)
    return tmp_path


def built(root, **options):
    small = {"check_counts": False, "classes_per_batch": 2, "samples_per_class": 2}
    small |= {"image_size": 8, "num_workers": 0, "validation_fraction": 0.25}
    data = Market1501(str(root), **small | options)
    data.setup()
    return data


def test_people_are_classes_and_cameras_groups(root):
    data = built(root)
    queries, gallery = data.test
    assert (len(data.train) + len(data.val), len(queries), len(gallery)) == (20, 6, 7)
    for split in (data.train, data.val, queries, gallery):
        names = [data.group_names[group] for group in split.groups.tolist()]
        assert names == [f"camera {file.split('_c')[-1][0]}" for file in split.files]
        people = [data.class_names[label] for label in split.labels.tolist()]
        assert people == [file.rpartition("/")[2][:4] for file in split.files]


def test_distractors_are_in_the_gallery_and_junk_is_not(root):
    gallery = built(root).test[1]
    roles = dict(zip(gallery.files, gallery.roles.tolist(), strict=True))
    assert {file.rpartition("/")[2][:4] for file, role in roles.items() if role == 2} == {"0000"}
    assert sum(role == 1 for role in roles.values()) == 6
    assert not any("/-1_" in file for file in gallery.files)


def test_what_cannot_be_is_named(root):
    with pytest.raises(ValueError, match="12936 train images, but 20 were read"):
        built(root, check_counts=True)
    picture(root / "query" / "somebody.jpg")
    with pytest.raises(ValueError, match=r"somebody.jpg: needed a name as 0002_c1s1_000451_03"):
        built(root)
    with pytest.raises(FileNotFoundError, match="bounding_box_train, which does not exist"):
        built(root / "query")
