"""From training through decision and test to predictions, on images that say what they show."""

import json
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pyarrow import parquet
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import Dataset

from ranklight.callbacks import LabelDecision
from ranklight.datamodules import (
    Batch,
    Shuffled,
    TrainLoader,
    evaluation_loader,
)
from ranklight.datamodules.loaders import epochs_and_positions
from ranklight.kernels.distributed import rank_and_world_size
from ranklight.lightning_modules import MultiLabelClassification
from ranklight.losses import BinaryCrossEntropyLoss, LSEPLoss
from ranklight.metrics import count_label_sets, evaluate_label_sets
from ranklight.models import (
    Examples,
    GlobalThreshold,
    LabelCount,
    LearnedThreshold,
    LinearHead,
    PerClassThreshold,
    TopK,
)
from ranklight.running.label_decisions import (
    cache_features,
    decide,
    fit_decisions,
)

CLASSES = 4


class Squares(Dataset[Batch]):
    """Each class lights one quarter of a 4×4 image; in training there is noise."""

    def __init__(self, first, size, unknown=0.0):
        draw = torch.Generator().manual_seed(first)
        self.index = torch.arange(first, first + size)
        self.labels = (torch.rand(size, CLASSES, generator=draw) < 0.4).float()
        quarters = self.labels.view(size, 1, 2, 2)
        self.images = nn.functional.interpolate(quarters, scale_factor=2.0)
        self.images += 0.4 * torch.randn(self.images.shape, generator=draw)
        hidden = torch.rand(self.labels.shape, generator=draw) < unknown
        self.labels[hidden] = -1

    def __len__(self):
        return len(self.labels)

    def __getitems__(self, keys):
        epochs, places = epochs_and_positions(keys)
        images = self.images[places]
        if epochs[0] is not None:
            images = images + 0.1 * torch.randn_like(images)
        return Batch(images, self.labels[places], self.index[places])


class Quarters(pl.LightningDataModule):
    allow_zero_length_dataloader_with_multiple_devices = True

    def __init__(self, unknown=0.0, test_size=45):
        super().__init__()
        self.train = Squares(0, 96, unknown)
        self.val = Squares(1000, 48, unknown)
        self.test = Squares(2000, test_size, unknown)

    def train_dataloader(self):
        return TrainLoader(self.train, Shuffled(96, 16, 0, *rank_and_world_size()))

    def val_dataloader(self):
        return evaluation_loader(self.val, 16)

    def test_dataloader(self):
        return evaluation_loader(self.test, 16)

    def predict_dataloader(self):
        return self.test_dataloader()


class Flat(nn.Module):
    embedding_dim = 16

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(16))

    def forward(self, images):
        return images.flatten(1) * self.scale


def rules():
    return {
        "top_2": TopK(2),
        "one_threshold": GlobalThreshold(),
        "class_thresholds": PerClassThreshold(CLASSES),
        "label_count": LabelCount(CLASSES, 16, allow_zero=True, steps=200),
        "learned_threshold": LearnedThreshold(CLASSES, 16, steps=200),
    }


def model(decisions=None, loss=None):
    torch.manual_seed(0)
    decisions = rules() if decisions is None else decisions
    optimizer = partial(torch.optim.Adam, lr=0.05)
    return MultiLabelClassification(
        Flat(),
        loss or LSEPLoss(),
        optimizer,
        num_classes=CLASSES,
        head=LinearHead(dropout=0.1),
        decisions=decisions,
    )


def trainer(folder, *callbacks, epochs=2):
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        max_epochs=epochs,
    )


def best(folder):
    return ModelCheckpoint(folder, "best", monitor="val/map_macro", mode="max")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A fitted and tested run: its directory, module and logged test scores."""
    folder = tmp_path_factory.mktemp("run")
    checkpoint = best(folder)
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True)
    module = model()
    fitting = trainer(folder, LabelDecision(), checkpoint, last, epochs=4)
    fitting.fit(module, datamodule=Quarters())
    (scores,) = fitting.test(
        model(), datamodule=Quarters(), ckpt_path=folder / "best.ckpt", weights_only=True
    )
    return folder, module, scores


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def test_the_best_checkpoint_holds_the_rules_and_the_last_does_not(run):
    folder, module, _ = run
    fitted = {
        name: value for name, value in weights(folder / "best.ckpt").items() if "fitted" in name
    }
    assert len(fitted) == 5
    assert all(fitted.values())
    assert not weights(folder / "last.ckpt")["decisions.label_count.fitted"]
    for name, value in module.state_dict().items():
        assert torch.equal(value, weights(folder / "best.ckpt")[name])
    assert not list(folder.glob("*.part"))


def test_deciding_changes_nothing_that_the_ranking_learnt(run, tmp_path):
    folder, _, _ = run
    alone = model({})
    trainer(tmp_path, best(tmp_path), epochs=4).fit(alone, datamodule=Quarters())
    with_rules = weights(folder / "best.ckpt")
    for name, value in weights(tmp_path / "best.ckpt").items():
        assert torch.equal(value, with_rules[name])


def test_every_rule_is_scored_beside_the_oracle(run):
    folder, module, logged = run
    results = json.loads((folder / "results.json").read_text())
    assert list(results) == ["ranking", *rules(), "oracle"]
    assert results["oracle"]["exact_match"] >= results["label_count"]["exact_match"]
    assert results["oracle"]["exact_match"] > 0.8
    assert results["learned_threshold"]["exact_match"] > results["top_2"]["exact_match"]
    data = Quarters().test
    module.eval()
    with torch.no_grad():
        scores, features = module.scores_and_features(data.images)
        for name, rule in module.decisions.items():
            counts = count_label_sets(rule(scores, features), data.labels)
            for key, value in evaluate_label_sets(counts).items():
                assert results[name][key] == value.item()
                assert logged[f"test/{name}/{key}"] == pytest.approx(value.item())
    table = (folder / "decisions.md").read_text().splitlines()
    assert table[0].startswith("| decision | C-P | C-R | C-F1 | O-P | O-R | O-F1 | mean F1 | exact")
    assert [line.split(" | ")[0] for line in table[2:]] == [f"| {n}" for n in [*rules(), "oracle"]]


def test_ranking_scores_are_logged(run):
    _, _, logged = run
    assert logged["test/map_macro"] > 0.8
    names = {name for name in logged if name.count("/") == 1}
    assert {"test/lrap", "test/ranking_loss", "test/coverage", "test/pair_violations"} <= names
    classes = [logged[f"test/ap/{k}"] for k in range(CLASSES)]
    assert sum(classes) / CLASSES == pytest.approx(logged["test/map_macro"])


def test_the_scores_of_every_image_are_kept(run):
    folder, _, logged = run
    rows = parquet.read_table(folder / "scores/test.parquet").to_pydict()
    assert rows.pop("id") == Quarters().test.index.tolist()
    assert {f"{name}/exact_match" for name in [*rules(), "oracle"]} < set(rows)
    assert len(rows) == 5 + 6
    for name, values in rows.items():
        assert logged[f"test/{name}"] == pytest.approx(sum(values) / len(values), rel=1e-6)
    validated = parquet.read_table(folder / "scores/val.parquet").to_pydict()
    assert validated["id"] == Quarters().val.index.tolist()
    assert list(validated) == ["id", *list(rows)[:5]]


def test_predictions_hold_scores_and_what_each_rule_says(run):
    folder, module, _ = run
    batches = trainer(folder).predict(
        model(), datamodule=Quarters(), ckpt_path=folder / "best.ckpt", weights_only=True
    )
    keys = ["scores", *(f"decision/{name}" for name in rules()), "labels", "index"]
    assert list(batches[0]) == keys
    images = Quarters().test.images[:16]
    module.eval()
    said = module.decisions["learned_threshold"](*module.scores_and_features(images))
    assert torch.equal(batches[0]["decision/learned_threshold"], said)


def test_rules_are_fitted_for_a_checkpoint_that_has_none(tmp_path):
    trainer(tmp_path, best(tmp_path)).fit(model({}), datamodule=Quarters())
    before = weights(tmp_path / "best.ckpt")
    module = model()
    decide(module, Quarters(), tmp_path / "best.ckpt")
    after = weights(tmp_path / "best.ckpt")
    assert set(before) == {name for name in after if not name.startswith("decisions.")}
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert after["decisions.learned_threshold.fitted"]
    again = model()
    torch.manual_seed(5)
    decide(again, Quarters(), tmp_path / "best.ckpt")
    assert all(torch.equal(after[name], value) for name, value in again.state_dict().items())


def test_a_rule_that_was_not_fitted_is_not_tested(tmp_path):
    trainer(tmp_path, best(tmp_path)).fit(model(), datamodule=Quarters())
    with pytest.raises(ValueError, match=r"the decision rules .* were not fitted"):
        trainer(tmp_path, LabelDecision()).test(
            model(), datamodule=Quarters(), ckpt_path=tmp_path / "best.ckpt", weights_only=True
        )


def test_without_a_best_checkpoint_nothing_is_fitted(tmp_path):
    module = model()
    trainer(tmp_path, LabelDecision(), epochs=1).fit(module, datamodule=Quarters())
    assert not module.decisions["one_threshold"].fitted


def test_a_rule_that_does_not_fit_is_named(tmp_path):
    decisions = {"too_many": TopK(9)}
    with pytest.raises(ValueError, match="decision rule too_many: TopK is to say 9 labels of only"):
        trainer(tmp_path, LabelDecision(), best(tmp_path), epochs=1).fit(
            model(decisions), datamodule=Quarters()
        )


def test_features_are_cached_in_order_and_in_evaluation_mode():
    module, data = model().train(), Quarters()
    cached = cache_features(module, evaluation_loader(data.train, 7))
    assert module.training
    module.eval()
    scores, features = module.scores_and_features(data.train.images)
    torch.testing.assert_close(cached.scores, scores)
    torch.testing.assert_close(cached.features, features)
    assert torch.equal(cached.targets, data.train.labels)
    assert not cached.scores.requires_grad


def test_rules_learn_from_the_split_they_ask_for(monkeypatch):
    module, sizes = model(), {}

    def fitted(name):
        return lambda examples, seed: sizes.update({name: len(examples.scores)})

    for name, rule in module.decisions.items():
        monkeypatch.setattr(rule, "fit", fitted(name))
    parts = [Examples(torch.zeros(n, 4), torch.zeros(n, 16), torch.zeros(n, 4)) for n in (7, 3)]
    fit_decisions(module, *parts)
    assert [sizes[name] for name in rules()] == [3, 3, 3, 7, 7]


def test_partial_labels_train_decide_and_test(tmp_path):
    decisions = {name: rule for name, rule in rules().items() if name != "label_count"}
    module = model(decisions, BinaryCrossEntropyLoss())
    fitting = trainer(tmp_path, LabelDecision(), best(tmp_path), epochs=3)
    fitting.fit(module, datamodule=Quarters(unknown=0.3))
    (scores,) = fitting.test(module, datamodule=Quarters(unknown=0.3))
    assert scores["test/learned_threshold/exact_match"] > 0.3
    assert scores["test/oracle/exact_match"] >= scores["test/top_2/exact_match"]


def scores_of_a_test(folder, test_size):
    testing = trainer(folder, LabelDecision())
    module = model()
    (scores,) = testing.test(
        module,
        datamodule=Quarters(test_size=test_size),
        ckpt_path=f"{folder}/best.ckpt",
        weights_only=True,
        verbose=False,
    )
    return scores


def on_a_rank(folder, test_size):
    """What `Trainer` does on each rank, without a second launch: steps, hooks, metrics."""
    checkpoint = torch.load(f"{folder}/best.ckpt", weights_only=True)
    module = model()
    module.load_state_dict(checkpoint["state_dict"])
    module.eval()
    logged = {}
    module.log_dict = lambda scores, **_: logged.update(scores)
    callback, data = LabelDecision(), Quarters(test_size=test_size)
    watched = trainer(folder)
    callback.on_test_start(watched, module)
    with torch.no_grad():
        for place, batch in enumerate(data.test_dataloader()):
            outputs = module.test_step(batch, place)
            callback.on_test_batch_end(watched, module, outputs, batch, place)
    callback.on_test_epoch_end(watched, module)
    module.on_test_epoch_end()
    return {name: score.item() for name, score in logged.items()}


@pytest.mark.parametrize("test_size", [45, 1])
def test_two_processes_test_as_one(run, run_on_ranks, test_size):
    folder, _, _ = run
    alone = on_a_rank(folder, test_size)
    assert run_on_ranks(on_a_rank, 2, folder, test_size) == [alone, alone]
    if test_size == 45:
        assert scores_of_a_test(folder, test_size) == alone


def decided_on_ranks(folder):
    path = folder / f"best-{rank_and_world_size()[1]}.ckpt"
    module = model()
    decide(module, Quarters(), path)
    return {name: value.numpy() for name, value in module.state_dict().items()}, weights(path)


def test_two_processes_decide_as_one(run, run_on_ranks):
    folder, _, _ = run
    for world_size in (1, 2):
        (folder / f"best-{world_size}.ckpt").write_bytes((folder / "best.ckpt").read_bytes())
    alone, _ = decided_on_ranks(folder)
    for own, stored in run_on_ranks(decided_on_ranks, 2, folder):
        for name, value in alone.items():
            torch.testing.assert_close(torch.tensor(own[name]), torch.tensor(value))
            assert torch.equal(torch.tensor(own[name]), stored[name])
