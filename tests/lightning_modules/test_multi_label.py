from functools import partial

import pytest
import torch

from ranklight.datamodules import Batch
from ranklight.lightning_modules import MultiLabelClassification
from ranklight.losses import LSEPLoss, ZLPRLoss
from ranklight.models import (
    Encoder,
    FeatureMap,
    LabelCount,
    LinearHead,
    MLDecoder,
    SmallConvNet,
)


def model(**arguments):
    torch.manual_seed(0)
    encoder = Encoder(SmallConvNet(width=8), embedding_dim=None, normalize=False)
    arguments = {"loss": LSEPLoss(), "num_classes": 3, **arguments}
    return MultiLabelClassification(encoder, optimizer=torch.optim.SGD, **arguments)


def batch(labels):
    labels = torch.as_tensor(labels)
    return Batch(torch.randn(len(labels), 1, 16, 16), labels, torch.arange(len(labels)))


def test_logits_are_of_the_features():
    module = model().eval()
    images = torch.randn(5, 1, 16, 16)
    scores, features = module.scores_and_features(images)
    torch.testing.assert_close(features, module.encoder(images))
    torch.testing.assert_close(scores, module.head.linear(features))
    assert torch.equal(module(images), scores)


def test_a_head_may_look_at_places_and_rules_get_their_mean():
    trunk = FeatureMap(SmallConvNet(width=8))
    head = MLDecoder(width=16, heads=2, hidden=8)
    module = MultiLabelClassification(
        trunk,
        LSEPLoss(),
        torch.optim.SGD,
        num_classes=3,
        head=head,
        decisions={"n": LabelCount(max_count=2)},
    ).eval()
    images = torch.randn(5, 1, 16, 16)
    scores, features = module.scores_and_features(images)
    torch.testing.assert_close(scores, head(trunk(images)))
    torch.testing.assert_close(features, trunk(images).mean((2, 3)))


def test_logits_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        scores, features = model().scores_and_features(torch.randn(2, 1, 16, 16))
    assert scores.dtype == features.dtype == torch.float32


def test_dropout_acts_on_the_last_layer_in_training_only():
    module = model(head=LinearHead(dropout=0.5))
    images = torch.randn(4, 1, 16, 16)
    assert not torch.equal(module(images), module(images))
    module.eval()
    assert torch.equal(module(images), module(images))


@pytest.mark.parametrize("loss", [LSEPLoss(), ZLPRLoss()])
def test_the_loss_sees_targets_and_what_is_known(loss, monkeypatch):
    module = model(loss=loss)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    data = batch([[1.0, 0.0, -1.0], [0.0, -1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    relevance = torch.tensor([[1.0, 0, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]])
    known = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 1, 1], [1, 1, 1]]).bool()
    expected = loss(module(data.images), relevance, known)
    torch.testing.assert_close(module.training_step(data, 0), expected)


@pytest.mark.parametrize("labels", [[0, 2], [[1.0, 0.0], [0.0, 1.0]], [[1, 0, 0], [0, 1, 0]]])
def test_labels_of_another_kind_are_refused(labels):
    with pytest.raises(ValueError, match=r"labels must be multi-hot, \[2, 3\] floats.*got \[2"):
        model().training_step(batch(labels), 0)


def test_rules_take_no_part_in_training():
    module = model(decisions={"label_count": LabelCount(3, 32, 2)})
    own = {id(parameter) for parameter in module.decisions.parameters()}
    optimizer = module.configure_optimizers()
    assert not own & {id(p) for group in optimizer.param_groups for p in group["params"]}
    without = model()
    for name, value in without.state_dict().items():
        assert torch.equal(value, module.state_dict()[name])


def test_a_schedule_is_built():
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=3)
    assert set(model(lr_scheduler=schedule).configure_optimizers()) == {"optimizer", "lr_scheduler"}


def test_a_checkpoint_of_another_architecture_is_refused():
    with pytest.raises(
        ValueError, match=r"another architecture.*head\.linear\.weight is \[4, 32\]"
    ):
        model().on_load_checkpoint({"state_dict": model(num_classes=4).state_dict()})
    with_rules = model(decisions={"label_count": LabelCount(3, 32, 2)})
    with pytest.raises(ValueError, match=r"Unknown here.*decisions\.label_count"):
        model().on_load_checkpoint({"state_dict": with_rules.state_dict()})
    smaller = model(decisions={"label_count": LabelCount(3, 32, 1)})
    with pytest.raises(ValueError, match=r"Of another shape.*decisions\.label_count"):
        with_rules.on_load_checkpoint({"state_dict": smaller.state_dict()})


def test_rules_that_the_checkpoint_lacks_stay_as_they_are():
    module, checkpoint = (
        model(decisions={"label_count": LabelCount(3, 32, 2)}),
        {"state_dict": model().state_dict()},
    )
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
    assert not module.decisions["label_count"].fitted
