"""Classes and sizes that nobody writes twice: they come from data and encoder."""

import pytest
import pytorch_lightning as pl
import torch

from ranklight.datamodules import DigitClasses, DigitPoses, Digits, DigitScenes
from ranklight.lightning_modules import (
    MetricLearning,
    MultiLabelClassification,
    TwoHeadClassification,
)
from ranklight.losses import CenterLoss, LSEPLoss, ProxyAnchorLoss
from ranklight.models import (
    Encoder,
    LabelCount,
    LearnedThreshold,
    PerClassThreshold,
    SmallConvNet,
    TwoHeads,
)
from ranklight.pairs import ClassCenters, Objective

TRUNK = {"width": 8}


def fit(module, data):
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=1,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    return module


def encoder(embedding_dim=6, **options):
    return Encoder(SmallConvNet(**TRUNK), embedding_dim, **options)


def multi_label(**given):
    features = encoder(None, normalize=False)
    return MultiLabelClassification(features, LSEPLoss(), torch.optim.SGD, **given)


def metric_learning(**given):
    centers = ClassCenters(**given)
    objective = Objective(ProxyAnchorLoss(), references=centers)
    return MetricLearning(encoder(), objective, torch.optim.Adam)


def scenes():
    return DigitScenes(batch_size=8, train_scenes=16, val_scenes=8, test_scenes=8)


def test_a_multi_label_head_has_the_classes_of_the_data():
    module = fit(multi_label(), scenes())
    assert module.head.linear.weight.shape == (10, 32)
    assert module.num_classes == 10


def test_another_number_of_classes_than_the_datas_is_refused():
    with pytest.raises(ValueError, match=r"num_classes is 9, .* have 10 columns: leave"):
        fit(multi_label(num_classes=9), scenes())


def test_it_learns_as_if_they_had_been_given():
    ends = []
    for given in ({}, {"num_classes": 10}):
        torch.manual_seed(0)
        ends.append(fit(multi_label(**given), scenes()).state_dict())
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_two_heads_have_the_classes_and_the_pictures_of_the_data():
    references = ClassCenters(center_learning_rate=0.5)
    module = TwoHeadClassification(
        TwoHeads(SmallConvNet(**TRUNK), embedding_dim=5),
        torch.optim.SGD,
        Objective(CenterLoss(), references=references),
    )
    fit(module, DigitClasses(batch_size=20))
    assert module.model.class_head.weight.shape == (10, 32)
    assert module.model.embedding_head.weight.shape == (5, 32 * 4 * 4)
    assert references.centers.shape == (10, 5)
    assert module.val_accuracy.score.keywords == {"classes": 10}


def test_class_centers_are_those_of_the_classes_that_training_has():
    data = Digits(3, 4, validation="class_disjoint")
    module = fit(metric_learning(), data)
    centers = module.objective.references
    assert centers.classes.tolist() == data.train.labels.unique().tolist()
    assert centers.centers.shape == (len(centers.classes), 6)
    labels = centers(torch.zeros(4, 6), data.train.labels[:4]).labels
    assert labels.tolist() == centers.classes.tolist()
    held_out = data.val.labels[:2]
    with pytest.raises(ValueError, match=f"class {held_out[0]} is none of them"):
        centers(torch.zeros(2, 6), held_out)


def test_moved_centers_are_those_of_the_anchors_classes():
    centers = ClassCenters(normalize=False, center_learning_rate=1.0)
    centers.complete(torch.tensor([2, 5, 9]), 2)
    before = centers.centers.clone()
    centers(torch.tensor([[1.0, 1.0]]), torch.tensor([5]))
    moved = (centers.centers != before).any(1)
    assert moved.tolist() == [False, True, False]
    torch.testing.assert_close(centers.centers[1], (before[1] + 1) / 2)


def test_what_was_given_stays():
    assert fit(metric_learning(num_classes=7), Digits(3, 4)).objective.references.centers.shape == (
        7,
        6,
    )


@pytest.mark.parametrize("part", [{"num_classes": 3}, {"embedding_dim": 2}, {}])
def test_centers_that_know_too_little_say_so(part):
    with pytest.raises(RuntimeError, match="ClassCenters needs num_classes and embedding_dim"):
        ClassCenters(**part)(torch.zeros(1, 2), torch.tensor([0]))


def test_labels_that_are_no_classes_have_no_centers():
    data = DigitPoses(batch_size=8, train_scenes=16, val_scenes=(4, 8), test_scenes=(4, 8))
    with pytest.raises(ValueError, match=r"one class an image; the labels .* \[16, 5\] of torch.f"):
        fit(metric_learning(), data)


@pytest.mark.parametrize("module", [multi_label, metric_learning])
def test_without_a_data_module_they_have_to_be_given(module):
    with pytest.raises(ValueError, match="must be given: there is no data module to take it from"):
        module().complete(None)


def test_rules_have_the_classes_of_the_data_and_the_features_of_the_encoder():
    rules = {
        "each": PerClassThreshold(),
        "count": LabelCount(),
        "learned": LearnedThreshold(),
        "given": LearnedThreshold(num_classes=10, num_features=32),
    }
    module = fit(multi_label(decisions=rules), scenes())
    assert module.decisions["each"].threshold.shape == (10,)
    assert module.decisions["count"].head.layers[0].weight.shape == (100, 32)
    open_sizes = module.decisions["learned"].state_dict()
    for name, value in module.decisions["given"].state_dict().items():
        assert open_sizes[name].shape == value.shape


def test_a_count_beyond_the_classes_is_refused_when_they_are_known():
    with pytest.raises(ValueError, match="up to 11 labels of 10 classes"):
        fit(multi_label(decisions={"count": LabelCount(max_count=11)}), scenes())
