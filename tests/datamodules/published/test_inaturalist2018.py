import pytest
import torch

from ranklight.datamodules import INaturalist2018
from tests.trees import inaturalist2018


@pytest.fixture
def root(tmp_path):
    inaturalist2018(tmp_path)
    return tmp_path


def built(root, **options):
    small = {"check_counts": False, "classes_per_batch": 2, "samples_per_class": 2}
    small |= {"image_size": 8, "num_workers": 0, "validation_fraction": 0.25}
    data = INaturalist2018(str(root), **small | options)
    data.setup()
    return data


def test_species_are_apart_and_have_a_kingdom(root):
    data = built(root)
    classes = [set(split.labels.tolist()) for split in (data.train, data.val, data.test)]
    assert [len(of) for of in classes] == [6, 2, 3]
    assert len(set.union(*classes)) == len(data.class_names) == 11
    assert "Aves/2" in data.class_names
    for split in (data.train, data.val, data.test):
        plants = torch.tensor(["Plantae" in file for file in split.files]).long()
        assert split.levels["super_class"].tolist() == plants.tolist()


def test_what_cannot_be_is_named(root):
    with pytest.raises(ValueError, match="325846 train images, but 24 were read"):
        built(root, check_counts=True)
    file = root / "Inat_dataset_splits" / "Inaturalist_test_set1.txt"
    right = file.read_text()
    for line, message in (
        ("Plantae/9/1.jpg", "which names the species; got 'Plantae/9/1.jpg'"),
        ("train_val2018/Plantae/1/0.jpg", "the class occurs in training too"),
    ):
        file.write_text(f"{right}{line}\n")
        with pytest.raises(ValueError, match=f"{file}, line 10: .*{message}"):
            built(root)
