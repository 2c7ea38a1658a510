import pytest
from scipy.io import savemat

from ranklight.datamodules import Flowers102
from tests.trees import flowers102

LABELS = [1, 1, 2, 2, 102, 102, 1]


def write(root, labels=LABELS):
    flowers102(root, labels, train=[2, 4, 6], val=[1, 3], test=[5, 7])


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path / "flowers-102"


def built(folder, **options):
    small = {"check_counts": False, "batch_size": 2, "image_size": 8, "num_workers": 0}
    data = Flowers102(str(folder.parent), **small | options)
    data.setup()
    return data


def test_parts_and_labels(folder):
    with pytest.warns(UserWarning, match="99 of 102 classes never occur"):
        data = built(folder)
    assert data.train.labels.tolist() == [0, 1, 101]
    assert data.val.labels.tolist() == [0, 1]
    assert data.test.labels.tolist() == [101, 0]
    assert data.test.files[0].endswith("image_00005.jpg")
    assert len(data.class_names) == 102


def test_the_published_counts_are_asked_for(folder):
    with pytest.raises(ValueError, match="1020 train images, but 3 were read"):
        built(folder, check_counts=True)


def test_files_that_are_cut_off(folder):
    file = folder / "setid.mat"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match=f"{file} is no readable MATLAB file"):
        built(folder)
    savemat(file, {"trnid": [1]})
    with pytest.raises(ValueError, match=rf"{file}: needed the variable 'valid'; it has .'trnid'"):
        built(folder)


def test_entries_that_cannot_be(folder):
    write(folder.parent, [*LABELS[:6], 103])
    with pytest.raises(ValueError, match=r"labels.mat, labels entry 7: the class must be 1..102"):
        built(folder)
    write(folder.parent, LABELS[:6])
    with pytest.raises(ValueError, match=r"setid.mat, tstid entry 2: the number .* 1..6; got '7'"):
        built(folder)
    write(folder.parent)
    (folder / "jpg" / "image_00003.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"valid entry 2: refers to .*image_00003.jpg"):
        built(folder)
