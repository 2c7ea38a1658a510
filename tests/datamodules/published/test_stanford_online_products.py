import pytest

from ranklight.datamodules import StanfordOnlineProducts
from tests.trees import stanford_online_products

HEADING = "image_id class_id super_class_id path"


@pytest.fixture
def root(tmp_path):
    stanford_online_products(tmp_path, train=range(1, 5), test=[11318, 11319])
    return tmp_path


def built(root, **options):
    small = {"check_counts": False, "classes_per_batch": 2, "samples_per_class": 2}
    small |= {"image_size": 8, "num_workers": 0, "validation_fraction": 0.5}
    data = StanfordOnlineProducts(str(root), **small | options)
    data.setup()
    return data


def test_splits_are_class_disjoint(root):
    data = built(root)
    classes = [set(split.labels.tolist()) for split in (data.train, data.val, data.test)]
    assert [len(split) for split in (data.train, data.val, data.test)] == [4, 4, 4]
    assert sum(map(len, classes)) == len(set.union(*classes)) == 6
    assert data.class_names == ("1", "2", "3", "4", "11318", "11319")
    assert next(iter(data.train_dataloader())).images.shape == (4, 3, 8, 8)
    assert data.test.levels["super_class"].tolist() == [7] * 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("13 11320 7", f"needed '{HEADING}'; got '13 11320 7'"),
        ("13 lamp 7 lamp_final/1_0.JPG", "the class must be a number from 1 on; got 'lamp'"),
        ("13 11320 7 lamp_final/no.JPG", "refers to the image .*no.JPG, which does not exist"),
        ("13 4 7 lamp_final/4_0.JPG", "the class occurs in training too"),
    ],
)
def test_lines_that_cannot_be(root, line, message):
    file = root / "Ebay_test.txt"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises((ValueError, FileNotFoundError), match=f"{file}, line 6: {message}"):
        built(root)


def test_the_published_counts_are_asked_for(root):
    with pytest.raises(ValueError, match="59551 train images, but 8 were read"):
        built(root, check_counts=True)
