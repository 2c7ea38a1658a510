import pytest

from ranklight.datamodules import NUSWIDE
from tests.trees import nus_wide

TRAIN = ["actor\\0001_1.jpg", "actor\\0002_2.jpg", "zoo\\0003_3.jpg"]
TEST = ["zoo\\0004_4.jpg", "zoo\\0005_5.jpg"]


@pytest.fixture
def root(tmp_path):
    """The first image has every concept, the third and the fourth none."""
    nus_wide(tmp_path, TRAIN, TEST, {"sky": ("110", "01"), "animal": ("100", "00")})
    return tmp_path


def labels(root, concept, part):
    return root / "Groundtruth" / "TrainTestLabels" / f"Labels_{concept}_{part}.txt"


def built(root, **options):
    small = {"check_counts": False, "batch_size": 1, "image_size": 8, "num_workers": 0}
    data = NUSWIDE(str(root), **small | {"validation_fraction": 0.4} | options)
    data.setup()
    return data


def test_labels(root):
    images, values, concepts = NUSWIDE(str(root)).read()
    assert concepts == ("animal", "sky")
    assert values.tolist() == [[1, 1], [0, 1], [0, 0], [0, 0], [0, 1]]
    assert images[2].file == root / "Flickr" / "zoo" / "0003_3.jpg"
    assert [image.split for image in images] == [0, 0, 0, 2, 2]


def test_images_without_concepts_stay_or_go(root):
    kept, dropped = built(root), built(root, unlabelled="drop")
    assert (len(kept.train), len(kept.val), len(kept.test)) == (2, 1, 2)
    assert (len(dropped.train), len(dropped.val), len(dropped.test)) == (1, 1, 1)


def test_the_published_counts_are_asked_for(root):
    with pytest.raises(ValueError, match="161789 train images, but 3 were read"):
        built(root, check_counts=True)


def test_another_number_of_lines_than_images(root):
    file = labels(root, "sky", "Test")
    file.write_text("0\n1\n1\n")
    with pytest.raises(ValueError, match=f"{file} has 3 lines, but 2 images are listed in .*Test"):
        built(root)


def test_a_label_that_does_not_exist(root):
    file = labels(root, "sky", "Train")
    file.write_text("1\n1\n7\n")
    with pytest.raises(ValueError, match=f"{file}, line 3: the label must be 0 or 1; got '7'"):
        built(root)


def test_files_that_are_missing(root):
    (root / "Flickr" / "zoo" / "0004_4.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"TestImagelist.txt, line 1: .*0004_4.jpg"):
        built(root)
    labels(root, "sky", "Test").unlink()
    with pytest.raises(FileNotFoundError, match=f"{labels(root, 'sky', 'Test')}"):
        built(root)
    labels(root, "sky", "Train").unlink()
    labels(root, "animal", "Train").unlink()
    with pytest.raises(FileNotFoundError, match=r"Labels_\{concept\}_Train.txt"):
        built(root)
