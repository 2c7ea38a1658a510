import pytest

from ranklight.datamodules import CUB200, NABirds
from tests.trees import birds, write


@pytest.fixture
def root(tmp_path):
    birds(tmp_path, (1, 2, 100, 101, 200), training=lambda number: number % 2)
    return tmp_path


def change(root, name, number, line):
    file = root / f"{name}.txt"
    lines = file.read_text().splitlines()
    lines[number - 1] = line
    write(file, [line for line in lines if line is not None])


def built(kind, root, **options):
    small = {"check_counts": False, "batch_size": 2, "image_size": 8, "num_workers": 0}
    data = kind(str(root), **small | {"validation_fraction": 0.5} | options)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("kind", "options"), [(NABirds, {}), (CUB200, {"protocol": "classification"})]
)
def test_published_split_and_sparse_classes(root, kind, options):
    data = built(kind, root, **options)
    assert data.test.indices.tolist() == list(range(0, 20, 2))
    assert sorted(data.train.labels.tolist()) == sorted(data.val.labels.tolist()) == [*range(5)]
    assert len(data.class_names) == 5
    assert data.class_names[0] == "Bird 1"


def test_retrieval_is_class_disjoint(root):
    data = built(CUB200, root, validation_fraction=0.34)
    classes = [set(split.labels.tolist()) for split in (data.train, data.val, data.test)]
    assert classes[2] == {3, 4}
    assert classes[0] | classes[1] == {0, 1, 2}
    assert not classes[0] & classes[1]


@pytest.mark.parametrize(
    ("kind", "options", "counts"),
    [
        (NABirds, {}, "23929 train images, but 10"),
        (CUB200, {}, "5864 train images, but 12"),
        (CUB200, {"protocol": "classification"}, "5994 train images, but 10"),
    ],
)
def test_the_published_counts_are_asked_for(root, kind, options, counts):
    with pytest.raises(ValueError, match=counts):
        built(kind, root, check_counts=True, **options)


@pytest.mark.parametrize(
    ("name", "number", "line", "message"),
    [
        ("images", 3, "2-ab", r"images.txt, line 3: needed 'id path'; got '2-ab'"),
        ("images", 3, "2-ab no.jpg", r"images.txt, line 3: refers to .*no.jpg, which does not"),
        ("images", 3, "1-ab x.jpg", r"images.txt, line 3: image '1-ab' stands in .*line 2 too"),
        ("image_class_labels", 4, "3-ab 999", r"labels.txt, line 4: the class '999' is not in"),
        ("image_class_labels", 4, "x-ab 1", r"labels.txt, line 4: image 'x-ab' is not in images"),
        ("image_class_labels", 4, None, r"labels.txt has 19 lines, but .*images.txt has 20 im"),
        ("train_test_split", 5, "4-ab 2", r"split.txt, line 5: the flag must be 0 or 1; got '2'"),
    ],
)
def test_lines_that_cannot_be(root, name, number, line, message):
    change(root, name, number, line)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        built(NABirds, root)
