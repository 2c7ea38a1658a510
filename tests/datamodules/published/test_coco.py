import json

import pytest
import torch

from ranklight.datamodules import COCO
from tests.trees import coco

SHOWN = {11: [18, 18], 12: [1, 18, 90], 13: [], 21: [90], 22: []}


@pytest.fixture
def root(tmp_path):
    """Image 12 has all classes, 13 and 22 none."""
    categories = {18: "dog", 1: "person", 90: "brush"}
    coco(tmp_path, [11, 12, 13], [21, 22], categories, SHOWN.__getitem__)
    return tmp_path


def annotations(root, name="train2014"):
    return root / "annotations" / f"instances_{name}.json"


def change(root, key, entries):
    content = json.loads(annotations(root).read_text())
    annotations(root).write_text(json.dumps(content | {key: content[key] + entries}))


def built(root, **options):
    small = {"check_counts": False, "batch_size": 1, "image_size": 8, "num_workers": 0}
    data = COCO(str(root), **small | {"validation_fraction": 0.4} | options)
    data.setup()
    return data


def test_columns_are_the_sorted_category_ids(root):
    images, labels, names = COCO(str(root)).read()
    assert names == ("person", "dog", "brush")
    assert labels.tolist() == [[0, 1, 0], [1, 1, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert labels.dtype == torch.float32
    assert [image.split for image in images] == [0, 0, 0, 2, 2]


def test_images_without_instances_stay_or_go(root):
    assert len(built(root).test) == 2
    dropped = built(root, unlabelled="drop")
    assert len(dropped.train) + len(dropped.val) == 2
    assert len(dropped.test) == 1


def test_the_published_counts_of_each_year(root):
    with pytest.raises(ValueError, match="82783 train images, but 3 were read"):
        built(root, check_counts=True)
    (root / "annotations" / "instances_train2014.json").rename(annotations(root, "train2017"))
    (root / "annotations" / "instances_val2014.json").rename(annotations(root, "val2017"))
    with pytest.raises(ValueError, match="118287 train images, but 3 were read"):
        built(root, year=2017, check_counts=True)


def test_a_file_that_is_cut_off(root):
    lines = annotations(root).read_text().splitlines()[:7]
    annotations(root).write_text("\n".join(lines))
    with pytest.raises(ValueError, match=f"{annotations(root)}, line 7, column .*: no complete"):
        built(root)


def test_a_file_of_another_kind(root):
    annotations(root).write_text('{"images": []}')
    with pytest.raises(ValueError, match=f"{annotations(root)}: needed the key 'categories'"):
        built(root)


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        ("annotations", {"image_id": 11, "category_id": 7}, "annotation 6: category_id 7 is not"),
        ("annotations", {"image_id": 99, "category_id": 1}, "annotation 6: image_id 99 is not"),
        ("annotations", {"image_id": 11}, "entry 6 of annotations: needed .'category_id'"),
        ("images", {"id": 14, "file_name": "no.jpg"}, "image 4: refers to .*no.jpg, which does"),
    ],
)
def test_entries_that_cannot_be(root, key, entry, message):
    change(root, key, [entry])
    with pytest.raises((ValueError, FileNotFoundError), match=f"{annotations(root)}, {message}"):
        built(root)


def test_another_year_is_refused(root, unchecked):
    with pytest.raises(ValueError, match="year must be one of 2014, 2017; got 1"):
        COCO(str(root), year=1)


def test_train_and_val_with_other_categories(root):
    change(root, "categories", [{"id": 91, "name": "unicorn"}])
    with pytest.raises(ValueError, match=r"other categories than that of train: .'unicorn'"):
        built(root)
