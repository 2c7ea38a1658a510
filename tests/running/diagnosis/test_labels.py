from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ranklight.running.diagnosis import Diagnosis, diagnose_labels
from ranklight.running.diagnosis.labels import histogram


def diagnosed(splits, **data):
    diagnosis = Diagnosis()
    splits = {name: SimpleNamespace(labels=torch.tensor(each)) for name, each in splits.items()}
    diagnose_labels(diagnosis, SimpleNamespace(**data), splits)
    return diagnosis.facts["labels"], [
        (each.level, each.sentence, each.names) for each in diagnosis.findings
    ]


def test_a_histogram_of_octaves_counts_every_class_once():
    assert histogram([1, 1, 2, 3, 9]) == [
        {"from": 1, "to": 1, "classes": 2},
        {"from": 2, "to": 3, "classes": 2},
        {"from": 4, "to": 7, "classes": 0},
        {"from": 8, "to": 15, "classes": 1},
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 1023, 1024])
def test_a_size_is_in_its_octave(size):
    (octave,) = histogram([size])
    assert octave["from"] <= size <= octave["to"]


def test_classes_apart_are_no_fault():
    _, found = diagnosed({"train": [0, 0, 1, 1], "val": [2, 2]})
    assert found == [
        ("note", "no class of val is in train: it is scored on classes never seen", ())
    ]


def test_classes_of_one_split_only():
    _, found = diagnosed({"train": [0, 0, 1, 1], "test": [1, 1, 2, 2]}, class_names="xyz")
    assert found == [
        ("warning", "1 classes of test are not in train: nothing of them is learnt", ("z",)),
        ("note", "1 classes are in train and not in test", ("x",)),
    ]


def test_no_query_at_all_is_an_error():
    _, found = diagnosed({"train": [0, 0], "val": [1, 2]})
    assert (
        "error",
        "2 of 2 images of val have none of their class to find: they are no queries",
        (),
    ) in found


def test_queries_look_into_their_gallery():
    _, found = diagnosed({"train": [0, 0], "val queries": [1, 2, 2], "val gallery": [2]})
    sentence = "1 of 3 images of val queries have none of their class to find: they are no queries"
    assert ("note", sentence, ()) in found


def test_sets_of_labels():
    facts, found = diagnosed(
        {"train": [[1.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]},
        class_names=("car", "dog", "hat"),
    )
    assert (facts[0]["least"], facts[0]["most"], facts[0]["labels_an_image"]) == (0, 3, 1.0)
    assert found == [
        ("note", "1 images of train have no label", ()),
        ("note", "8.3% of the labels of train are unknown", ()),
        ("warning", "1 labels are on no image of train", ("dog",)),
    ]


def test_numbers():
    train = np.linspace(0, 1, 101)[:, None].tolist()
    facts, found = diagnosed({"train": train, "test": [[0.5], [1.5], [-0.1]]})
    assert facts[0] == pytest.approx(
        {"split": "train", "images": 101, "column": 0, "least": 0, "q05": 0.05, "median": 0.5,
         "q95": 0.95, "most": 1},
    )  # fmt: skip
    assert found == [("note", "2 images of test have a number beyond those of train", ())]
