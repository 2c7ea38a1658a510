from functools import partial
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from rich.progress import Progress
from torch.utils.data import DataLoader

from ranklight.datamodules import Batch
from ranklight.lightning_modules import MetricLearning
from ranklight.lightning_modules.checkpoint import check_same_architecture
from ranklight.lightning_modules.mined_lists import _with_bar
from ranklight.lightning_modules.optimizers import configure
from ranklight.losses import LogRatioLoss, MultiSimilarityLoss
from ranklight.miners import MultiSimilarityMiner
from ranklight.models import Encoder, SmallConvNet
from ranklight.pairs import ClassCenters, LabelCloseness, Objective


def module(**changes):
    objective = Objective(MultiSimilarityLoss(), MultiSimilarityMiner(epsilon=0.0))
    parts = {"encoder": Encoder(SmallConvNet(width=8), 16), "objective": objective}
    return MetricLearning(**{**parts, "optimizer": torch.optim.Adam, **changes})


def batch(images=12):
    generator = torch.Generator().manual_seed(0)
    return Batch(
        torch.randn(images, 1, 32, 32, generator=generator),
        torch.arange(images) % 3,
        torch.arange(images),
    )


def test_a_training_step_is_the_objective_on_the_embeddings(monkeypatch):
    learner, logged = module(), {}
    monkeypatch.setattr(learner, "log", lambda name, value, **_: logged.update({name: value}))
    images, labels, _ = batch()
    loss = learner.training_step(batch(), 0)["loss"]
    expected = learner.objective.evaluate(learner.encoder(images), labels)
    assert loss == expected.loss == logged["train/loss"]
    assert 0 < logged["train/mined_fraction"] == expected.mined_fraction < 1


def test_evaluation_gives_embeddings():
    learner = module()
    for step in (learner.validation_step, learner.test_step):
        assert torch.equal(step(batch(), 0)["embeddings"], learner(batch().images))
    predicted = learner.predict_step(batch(), 0)
    assert torch.equal(predicted["labels"], batch().labels)
    assert torch.equal(predicted["index"], batch().index)


def test_the_optimizer_sees_what_the_objective_learns():
    objective = Objective(MultiSimilarityLoss(), references=ClassCenters(3, 16))
    optimizer = module(objective=objective).configure_optimizers()
    learnt = {id(parameter) for parameter in optimizer.param_groups[0]["params"]}
    assert id(objective.references.centers) in learnt


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_the_schedule_steps_as_asked(interval):
    learner = module(
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1),
        lr_interval=interval,
    )
    assert learner.configure_optimizers()["lr_scheduler"]["interval"] == interval


def test_a_plateau_schedule_names_what_it_watches():
    from pytorch_lightning.cli import ReduceLROnPlateau

    watched = partial(ReduceLROnPlateau, monitor="val/map@r")
    configured = configure(module(), torch.optim.Adam, watched, "epoch", {}, True)
    assert configured["lr_scheduler"]["monitor"] == "val/map@r"


def test_weights_of_another_architecture_are_refused():
    other = module(encoder=Encoder(SmallConvNet(width=16), 16)).state_dict()
    del other["encoder.projection.bias"]
    with pytest.raises(ValueError, match=r"Missing in it \(1\): encoder.projection.bias") as raised:
        check_same_architecture(module(), other)
    assert "needed is [8, 1, 3, 3]" in str(raised.value)


def test_own_weights_are_accepted():
    check_same_architecture(module(), module().state_dict())


class _Fitting:
    training, predicting = True, False


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_without_a_center_is_refused_before_it_leaves_the_cpu(label):
    learner = module(objective=Objective(MultiSimilarityLoss(), references=ClassCenters(3, 16)))
    learner._trainer = _Fitting()
    given = batch()._replace(labels=torch.tensor([label] * 12))
    with pytest.raises(ValueError, match=rf"labels of ClassCenters must be 0\.\.2; got {label}"):
        learner.on_before_batch_transfer(given, 0)
    assert learner.on_before_batch_transfer(batch(), 0) is not None


def test_labels_that_are_no_numbers_are_refused_before_they_leave_the_cpu():
    learner = module()
    learner._trainer = _Fitting()
    given = batch()._replace(labels=torch.full((12, 2), torch.nan))
    with pytest.raises(ValueError, match="finite numbers"):
        learner.on_before_batch_transfer(given, 0)


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_real_labels_are_never_rounded(stage, precision):
    trainer = pl.Trainer(
        fast_dev_run=True,
        accelerator="cpu",
        precision=precision,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    given = DataLoader([batch()._replace(labels=torch.rand(12, 2))], batch_size=None)
    loaders = (given, given) if stage == "fit" else (given,)
    learner = module(objective=Objective(LogRatioLoss(), relevance=LabelCloseness()))
    run = getattr(trainer, stage)
    if precision == "bf16-mixed":
        run(learner, *loaders)
        return
    with pytest.raises(TypeError, match=r"real labels in float32 or wider; got torch\.bfloat16"):
        run(learner, *loaders)


def test_the_pass_over_what_is_mined_has_a_bar_of_its_own():
    bar, batches = SimpleNamespace(progress=Progress(disable=True)), [batch(n) for n in (1, 2, 3)]
    seen = [
        (len(each.index), task.description, task.completed, task.total)
        for each in _with_bar(batches, bar)
        for task in bar.progress.tasks
    ]
    assert seen == [(n + 1, "Mining hard negatives", n, 3) for n in range(3)]
    assert not bar.progress.tasks
    assert [*_with_bar(batches, None)] == batches
