import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, Subset

from ranklight.datamodules import Batch
from ranklight.lightning_modules import TwoHeadClassification
from ranklight.losses import ContrastiveLoss
from ranklight.models import SmallConvNet, TwoHeads
from ranklight.pairs import Objective


class Stripes(Dataset):
    """Class k has its stripe in the k-th quarter; classes are uneven."""

    labels = torch.tensor([0] * 20 + [1] * 6 + [2] * 3)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, place):
        image = torch.zeros(1, 32, 32)
        image[:, 8 * self.labels[place] : 8 * self.labels[place] + 8] = 1
        return Batch(image, self.labels[place], torch.tensor(place))


def heads(classes=3):
    torch.manual_seed(0)
    return TwoHeads(SmallConvNet(width=8), classes, (1, 32, 32), embedding_dim=16)


def learner(**changes):
    parts = {"model": heads(), "optimizer": torch.optim.Adam}
    return TwoHeadClassification(**{**parts, "objective": Objective(ContrastiveLoss()), **changes})


def batch():
    return next(iter(DataLoader(Stripes(), batch_size=29)))


def logged_loss(module, monkeypatch):
    logged = {}
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
    monkeypatch.setattr(module, "log_dict", lambda terms, **_: logged.update(terms))
    return module.training_step(batch(), 0)["loss"], logged


def test_heads_on_one_map():
    model = heads()
    images = batch().images
    maps = model.trunk(images)
    output = model(images)
    pooled = maps.mean((2, 3))
    torch.testing.assert_close(output.pooled, pooled)
    torch.testing.assert_close(output.logits, model.class_head(pooled))
    flat = model.embedding_head(maps.flatten(1))
    torch.testing.assert_close(output.embeddings, flat / flat.norm(dim=1, keepdim=True))
    assert model.embedding_head.in_features == 32 * 4 * 4


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_loss_is_cross_entropy_plus_weight_times_ranking(monkeypatch, weight):
    module = learner(weight=weight)
    loss, logged = logged_loss(module, monkeypatch)
    images, labels, _ = batch()
    output = module.model(images)
    cross_entropy = F.cross_entropy(output.logits, labels)
    ranking = module.objective(output.embeddings, labels)
    torch.testing.assert_close(loss, cross_entropy + weight * ranking)
    torch.testing.assert_close(logged["train/cross_entropy"], cross_entropy)
    torch.testing.assert_close(logged["train/ranking"], ranking)


def test_softmax_alone_trains_no_embedding_head(monkeypatch):
    module = learner(objective=None)
    loss, logged = logged_loss(module, monkeypatch)
    assert torch.equal(loss, logged["train/cross_entropy"])
    (group,) = module.configure_optimizers().param_groups
    learnt = {id(parameter) for parameter in group["params"]}
    assert not learnt & {id(parameter) for parameter in module.model.embedding_head.parameters()}


def test_either_embedding_is_evaluated():
    output = heads()(batch().images)
    by_head = learner().predict_step(batch(), 0)["embeddings"]
    torch.testing.assert_close(by_head, output.embeddings)
    module = learner(retrieve_by="pooled")
    module.log_dict = lambda *_, **__: None
    said = module.validation_step(batch(), 0)
    torch.testing.assert_close(said["embeddings"], F.normalize(output.pooled))
    assert torch.equal(said["predicted"], output.logits.argmax(1))


def test_micro_and_macro_accuracy_of_uneven_classes():
    module = learner()
    trainer = pl.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(Stripes(), batch_size=8, shuffle=True)
    trainer.fit(module, loader)
    (scores,) = trainer.test(module, DataLoader(Stripes(), batch_size=8), verbose=False)
    right = module(batch().images).argmax(1) == batch().labels
    by_class = [right[batch().labels == label].float().mean() for label in range(3)]
    assert scores["test/accuracy"] == pytest.approx(right.float().mean().item())
    assert scores["test/accuracy_macro"] == pytest.approx(sum(by_class).item() / 3)


def test_an_image_that_a_sampler_repeated_counts_once_in_accuracy():
    again = [*range(len(Stripes())), *[28] * 40]
    scores = []
    for loader in (
        DataLoader(Stripes(), batch_size=8),
        DataLoader(Subset(Stripes(), again), batch_size=8),
    ):
        trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        scores += trainer.test(learner(), loader, verbose=False)
    assert scores[0] == scores[1]
    assert scores[0]["test/accuracy"] != scores[0]["test/accuracy_macro"]


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_a_label_that_is_no_class_is_refused(stage):
    class FourClasses(Stripes):
        labels = torch.tensor([0, 1, 2, 3])

    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with pytest.raises(ValueError, match=r"the classifier must be 0\.\.2; got 3"):
        getattr(trainer, stage)(learner(), DataLoader(FourClasses(), batch_size=4))
