"""Sums of objectives, prefixes and regression in a run: from YAML, completed by data, logged."""

from types import SimpleNamespace

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from pytorch_lightning import LightningDataModule

from ranklight.datamodules import Batch
from ranklight.lightning_modules import MetricLearning
from ranklight.lightning_modules.sizes import complete_objective
from ranklight.losses import AbsoluteErrorLoss, ProxyAnchorLoss
from ranklight.models import Encoder, SmallConvNet
from ranklight.pairs import ClassCenters, Objective, Regression, WeightedSum

SUM = """
objective:
  class_path: ranklight.pairs.WeightedSum
  init_args:
    objectives:
      regression:
        class_path: ranklight.pairs.Regression
        init_args: {loss: ranklight.losses.AbsoluteErrorLoss}
      order:
        class_path: ranklight.pairs.Matryoshka
        init_args:
          objective:
            class_path: ranklight.pairs.Objective
            init_args:
              loss: ranklight.losses.RankSimLoss
              relevance: ranklight.pairs.LabelCloseness
          prefixes: [4, 8]
    weights: {order: 100.0}
"""


def data(labels):
    module = LightningDataModule()
    module.train = SimpleNamespace(labels=labels)
    return module


def learner(objective):
    return MetricLearning(Encoder(SmallConvNet(width=8), 8), objective, torch.optim.Adam)


@pytest.fixture
def built():
    parser = ArgumentParser()
    parser.add_class_arguments(MetricLearning, skip={"encoder", "optimizer", "lr_scheduler"})
    chosen = parser.parse_object(yaml.safe_load(SUM))
    return learner(parser.instantiate(chosen).objective)


def test_a_mistake_within_a_part_is_named_as_such():
    wrong = yaml.safe_load(SUM.replace("order: 100.0", "ordre: 100.0"))
    parser = ArgumentParser()
    parser.add_class_arguments(MetricLearning, skip={"encoder", "optimizer", "lr_scheduler"})
    chosen = parser.parse_object(wrong)
    with pytest.raises(ValueError, match="weights are of the objectives regression, order; got"):
        parser.instantiate(chosen)


def test_a_loss_is_no_objective():
    with pytest.raises(ValueError, match="takes an objective, and ProxyAnchorLoss is none"):
        learner(ProxyAnchorLoss())


def test_a_sum_is_built_from_yaml_completed_by_the_data_and_logged(built, monkeypatch):
    logged = {}
    monkeypatch.setattr(built, "log_dict", lambda values, **_: logged.update(values))
    monkeypatch.setattr(built, "log", lambda name, value, **_: logged.update({name: value}))
    built.complete(data(torch.rand(6, 3)))
    assert built.objective.objectives["regression"].head.weight.shape == (3, 8)
    batch = Batch(torch.rand(6, 1, 32, 32), torch.rand(6, 3), torch.arange(6))
    built.training_step(batch, 0)["loss"].backward()
    assert list(logged) == [
        "train/regression/loss",
        "train/order/loss",
        "train/order/4/loss",
        "train/order/4/mined_fraction",
        "train/order/8/loss",
        "train/order/8/mined_fraction",
        "train/loss",
    ]
    expected = logged["train/regression/loss"] + 100 * logged["train/order/loss"]
    torch.testing.assert_close(logged["train/loss"].detach(), expected)


def test_parts_of_a_sum_are_completed():
    centers, regression = ClassCenters(), Regression(AbsoluteErrorLoss(), label_dim=1)
    both = WeightedSum(
        {"proxies": Objective(ProxyAnchorLoss(), references=centers), "number": regression}
    )
    complete_objective(both, data(torch.tensor([0, 2, 5])), 8)
    assert centers.classes.tolist() == [0, 2, 5]
    assert regression.head.weight.shape == (1, 8)
