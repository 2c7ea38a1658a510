import re

import pytest
import torch

from ranklight.datamodules import VOC2007
from ranklight.datamodules.published.voc2007 import CLASSES
from tests.trees import voc2007

TRAIN, TEST = [5, 7, 9, 12], [1, 2]


@pytest.fixture
def root(tmp_path):
    """Image 5 has every class, 7 none, 9 difficult cats only."""

    def label(image, kind):
        return {9: 0 if kind == "cat" else -1}.get(image, 1 if image in (5, 12, 1) else -1)

    voc2007(tmp_path, TRAIN, TEST, label)
    return tmp_path


def list_of(root, name, part):
    return root / "ImageSets" / "Main" / f"{name}_{part}.txt"


def built(root, **options):
    small = {"check_counts": False, "batch_size": 2, "image_size": 8}
    data = VOC2007(str(root), **small | {"num_workers": 0, "validation_fraction": 0.25} | options)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("difficult", "value"), [("positive", 1.0), ("negative", 0.0), ("unknown", -1.0)]
)
def test_labels(root, difficult, value):
    data = VOC2007(str(root), difficult=difficult)
    images, labels, names = data.read()
    assert [int(image.file.stem) for image in images] == TRAIN + TEST
    assert [image.split for image in images] == [0, 0, 0, 0, 2, 2]
    assert names == tuple(CLASSES)
    assert labels.dtype == torch.float32
    expected = torch.zeros(6, 20)
    expected[[0, 3, 4]] = 1.0
    expected[2, names.index("cat")] = value
    assert torch.equal(labels, expected)


def test_batches(root):
    data = built(root)
    (batch,) = data.train_dataloader()
    assert batch.images.shape == (2, 3, 8, 8)
    assert batch.labels.shape == (2, 20)
    sizes = len(data.train), len(data.val), len(data.test)
    assert sizes == (3, 1, 2)
    assert data.split_hash == built(root, seed=3).split_hash
    assert not set(data.train.indices.tolist()) & set(data.val.indices.tolist())


def test_images_without_labels_stay_or_go(root, caplog):
    caplog.set_level("INFO")
    assert len(built(root).test) == 2
    data = built(root, unlabelled="drop", validation_fraction=0.5, batch_size=1)
    assert "test 1 (20.00 labels an image), 3 without labels dropped" in caplog.text
    assert (len(data.train), len(data.val), len(data.test)) == (1, 1, 1)
    assert data.test.labels.all()


def test_the_published_counts_are_asked_for(root):
    with pytest.raises(ValueError, match=r"VOC2007 was published with 5011 train .*but 4 were"):
        built(root, check_counts=True)


def test_a_class_that_never_occurs_in_training_is_warned_of(root):
    lines = [f"{image:06d} -1" for image in TRAIN]
    list_of(root, "sofa", "trainval").write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="1 of 20 classes never occur in training.*: sofa"):
        built(root)


def test_a_list_that_is_cut_off(root):
    file = list_of(root, "bird", "trainval")
    file.write_text("000005  1\n000007 -1\n0000")
    with pytest.raises(ValueError, match=re.escape(f"{file}, line 3: needed 'image label'; got")):
        built(root)
    file.write_text("000005  1\n000007 -1\n")
    with pytest.raises(ValueError, match=f"{file}.*needed image '000009'.*2 lines for 4 images"):
        built(root)


def test_a_list_of_other_images(root):
    file = list_of(root, "bird", "test")
    file.write_text("000001  1\n000003 -1\n")
    with pytest.raises(ValueError, match=f"{file}, line 2: needed image '000002'; got '000003'"):
        built(root)


def test_a_label_that_does_not_exist(root):
    file = list_of(root, "bird", "test")
    file.write_text("000001  2\n000002 -1\n")
    with pytest.raises(ValueError, match=f"{file}, line 1: the label must be 1, -1 or 0.*got '2'"):
        built(root)


def test_files_that_are_missing_or_empty(root):
    photograph = root / "JPEGImages" / "000007.jpg"
    photograph.write_bytes(b"")
    with pytest.raises(ValueError, match=r"_trainval.txt, line 2: .*000007.jpg, which is empty"):
        built(root)
    photograph.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"trainval.txt, line 2: .*000007.jpg, which does not exist \(1 of"
    ):
        built(root)
    file = list_of(root, "dog", "test")
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"no annotation file {file}"):
        built(root)


def test_the_constructor_reads_nothing(tmp_path):
    VOC2007(str(tmp_path / "nowhere"))
