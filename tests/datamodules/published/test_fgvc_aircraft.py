import pytest

from ranklight.datamodules import FGVCAircraft
from tests.trees import fgvc_aircraft

VARIANTS = ["707-320", "Boeing 717", "DH 82 B", "An-12"]


@pytest.fixture
def root(tmp_path):
    fgvc_aircraft(tmp_path, VARIANTS, train=6, val=2, test=2)
    return tmp_path


def list_of(root, split):
    return root / "fgvc-aircraft-2013b" / "data" / f"images_variant_{split}.txt"


def built(root, **options):
    small = {"check_counts": False, "batch_size": 4, "image_size": 8, "resize": 9}
    data = FGVCAircraft(str(root), **small | {"num_workers": 0} | options)
    data.setup()
    return data


def sizes(data):
    return len(data.train), len(data.val), len(data.test)


def test_published_parts(root):
    data = built(root)
    assert sizes(data) == (24, 8, 8)
    assert data.class_names == tuple(VARIANTS)
    assert data.val.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert data.val.files[0].endswith("0001025.jpg")


def test_validation_may_be_held_out_of_train_and_val(root):
    data = built(root, official_validation=False, validation_fraction=0.25)
    assert sizes(data) == (24, 8, 8)
    assert sorted(data.val.labels.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert data.split_hash != built(root).split_hash
    parts = [set(part.indices.tolist()) for part in (data.train, data.val, data.test)]
    assert len(set.union(*parts)) == 40


def test_batches_of_either_kind(root):
    batch = next(iter(built(root).train_dataloader()))
    assert batch.images.shape == (4, 3, 8, 8)
    balanced = built(root, batch_size=None, classes_per_batch=2, samples_per_class=3)
    batch = next(iter(balanced.train_dataloader()))
    assert batch.labels.bincount().max() == 3
    with pytest.raises(ValueError, match="either classes_per_batch and samples_per_class"):
        FGVCAircraft(str(root), batch_size=4, classes_per_batch=2, samples_per_class=2)


def test_only_training_is_imbalanced(root):
    data = built(root, imbalance_ratio=6.0, imbalance_shape="step")
    assert sorted(data.train.labels.bincount().tolist()) == [1, 1, 6, 6]
    assert sizes(data)[1:] == (8, 8)


def test_a_training_seed_does_not_change_the_data(root):
    one, two = built(root), built(root, seed=9)
    assert one.split_hash == two.split_hash
    assert list(one.train_sampler) != list(two.train_sampler)


def test_the_published_counts_are_asked_for(root):
    with pytest.raises(ValueError, match=r"FGVCAircraft was .* 3334 train images, but 24 were"):
        built(root, check_counts=True)


def test_a_class_that_never_occurs_in_training_is_warned_of(root):
    file = list_of(root, "train")
    file.write_text("\n".join(file.read_text().splitlines()[:18]))
    with pytest.warns(UserWarning, match="1 of 4 classes never occur in training.*: An-12"):
        built(root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0001001", "needed 'image variant'; got '0001001'"),
        ("", "needed 'image variant'; got ''"),
        ("0001001 Concorde", "the variant 'Concorde' is not in variants.txt"),
        ("7654321 An-12", "refers to the image .*7654321.jpg, which does not exist"),
    ],
)
def test_lines_that_cannot_be(root, line, message):
    file = list_of(root, "test")
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises((ValueError, FileNotFoundError), match=f"{file}, line 9: {message}"):
        built(root)


def test_lists_that_are_missing(root):
    list_of(root, "val").unlink()
    with pytest.raises(FileNotFoundError, match=f"no annotation file {list_of(root, 'val')}"):
        built(root)
