"""Verification through a real Trainer: all pairs, listed ones, and a threshold's way to a test."""

import pytest
import pytorch_lightning as pl
import torch
from pyarrow import parquet
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Dataset

from ranklight.callbacks import VerificationEvaluation
from ranklight.datamodules import Batch
from ranklight.metrics import (
    count_pairs,
    evaluate_verification,
    fit_threshold,
    judge_pairs,
    pair_distances,
    tally_distances,
)
from ranklight.search import Embedded
from tests.callbacks.evaluation.test_retrieval import Flatten, trainer
from tests.lightning_ranks import on_these_ranks


class Faces(Dataset):
    """Points whose class is where they lie, under the names of files."""

    def __init__(self, n=60, seed=0, first=100, classes=6, scale=1.0):
        draw = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(n) % classes
        self.indices = first + torch.arange(n)
        self.files = [f"root/{label}/{row:03}.png" for row, label in enumerate(self.labels)]
        self.groups = torch.arange(n) % 4
        noise = torch.randn(n, 1, 2, 2, generator=draw)
        self.images = scale * (noise + 1.5 * self.labels[:, None, None, None])

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return Batch(self.images[row], self.labels[row], self.indices[row])

    def embedded(self, groups=False):
        rows = self.images.flatten(1)
        return Embedded(rows, self.labels, self.indices, None, self.groups if groups else None)


class Data(pl.LightningDataModule):
    def __init__(self, val, test, pairs=None):
        super().__init__()
        self.val, self.test = val, test
        if pairs is not None:
            self.pairs = lambda stage: pairs

    def train_dataloader(self):
        return loader(self.val[0] if isinstance(self.val, list) else self.val)

    def val_dataloader(self):
        return loaders(self.val)

    def test_dataloader(self):
        return loaders(self.test)


def loader(data):
    return DataLoader(data, batch_size=7)


def loaders(data):
    return [loader(side) for side in data] if isinstance(data, list) else loader(data)


def expected(stage, *sides, **options):
    return {
        f"{stage}/{name}": value for name, value in evaluate_verification(*sides, **options).items()
    }


def judged(stage, threshold, *sides):
    scores = {
        "threshold": 1 - threshold / 2,
        **judge_pairs(count_pairs(*sides), threshold)._asdict(),
    }
    return {f"{stage}/{name}": value for name, value in scores.items()}


@pytest.mark.parametrize("apart", ["image", "group", "class_and_group"])
def test_all_pairs_of_a_loader(tmp_path, apart):
    data = Faces()
    run = trainer(tmp_path, VerificationEvaluation(apart=apart, bootstrap=0))
    (logged,) = run.validate(Flatten(), loader(data), verbose=False)
    scores = expected("val", data.embedded(True), apart=apart)
    assert {name: logged[name] for name in scores} == pytest.approx(scores, rel=1e-6)
    own = {name.removeprefix("val/") for name in logged}
    assert own == {
        *(name.removeprefix("val/") for name in scores),
        *("threshold", "accuracy", "tar", "far"),
    }


def test_queries_in_a_gallery(tmp_path):
    queries, gallery = Faces(20, seed=1), Faces(60, first=110)
    run = trainer(tmp_path, evaluation := VerificationEvaluation(bootstrap=0))
    run.validate(Flatten(), datamodule=Data([queries, gallery], None), verbose=False)
    sides = queries.embedded(), gallery.embedded()
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    threshold = fit_threshold(count_pairs(*sides))
    scores = expected("val", *sides) | judged("val", threshold, *sides)
    assert logged == pytest.approx(scores, rel=1e-6)
    assert logged["val/same_pairs"] + logged["val/different_pairs"] == 20 * 60 - 10
    assert evaluation.thresholds == {"": threshold}


def test_a_test_is_judged_by_the_threshold_of_its_checkpoint(tmp_path):
    best = ModelCheckpoint(tmp_path, "best", monitor="val/eer", mode="min")
    val, test = Faces(), Faces(seed=7)
    data = Data(val, test)
    evaluation = VerificationEvaluation(bootstrap=0)
    run = trainer(tmp_path, evaluation, best, enable_checkpointing=True)
    run.fit(Flatten(), datamodule=data)
    threshold = fit_threshold(count_pairs(val.embedded()))
    wanted = judged("test", threshold, test.embedded())
    evaluation.thresholds = {"": 1e9}
    for again in (run, trainer(tmp_path, VerificationEvaluation(bootstrap=0))):
        (logged,) = again.test(
            Flatten(), datamodule=data, ckpt_path=tmp_path / "best.ckpt", verbose=False
        )
        assert {name: logged[name] for name in wanted} == pytest.approx(wanted, rel=1e-6)
    assert best.best_model_score == pytest.approx(expected("val", val.embedded())["val/eer"])


@pytest.mark.parametrize("weights_only", [True, False])
def test_without_a_threshold_of_the_weights_there_is_no_accuracy(tmp_path, weights_only):
    """Not even where one is in memory, of other weights."""
    data, path = Data(Faces(), Faces(seed=7)), tmp_path / "weights.ckpt"
    run = trainer(tmp_path)
    run.fit(Flatten(), datamodule=data)
    run.save_checkpoint(path, weights_only=weights_only)
    again = trainer(tmp_path, VerificationEvaluation(bootstrap=0))
    again.validate(Flatten(), datamodule=data, verbose=False)
    with pytest.warns(UserWarning, match="no threshold was fitted on validation for these weights"):
        (logged,) = again.test(Flatten(), datamodule=data, ckpt_path=path, verbose=False)
    assert "test/auc" in logged
    assert not {"test/accuracy", "test/threshold", "test/tar", "test/far"} & set(logged)


def test_bounds_over_identities_stand_beside_the_scores_of_a_test(tmp_path):
    run = trainer(tmp_path, VerificationEvaluation(fars=(0.1,), bootstrap=50))
    (logged,) = run.test(Flatten(), loader(Faces(120, classes=20, scale=0.1)), verbose=False)
    for name in ("auc", "eer", "tar@1e-1"):
        low, high = (logged[f"test/{name}/identity_{end}"] for end in ("low", "high"))
        assert low <= logged[f"test/{name}"] <= high
        assert low < high
    (logged,) = run.test(Flatten(), loader(Faces(120, classes=19)), verbose=False)
    assert not [name for name in logged if "identity" in name]


def listed(data, n=40, seed=3):
    draw = torch.Generator().manual_seed(seed)
    rows = torch.rand(n, len(data), generator=draw).topk(2).indices
    rows[::2, 1] = (rows[::2, 0] + int(data.labels.max()) + 1) % 60
    return rows, data.labels[rows[:, 0]] == data.labels[rows[:, 1]]


def write(folder, data, rows, same, name=lambda data, row: data.files[row], folds=None):
    lines = [
        ",".join([name(data, i), name(data, j), str(int(of)), *([] if folds is None else [str(f)])])
        for (i, j), of, f in zip(rows.tolist(), same, folds or [0] * len(rows), strict=True)
    ]
    header = "first,second,same" + ("" if folds is None else ",fold")
    (folder / "pairs.csv").write_text("\n".join([header, *lines]) + "\n")
    return str(folder / "pairs.csv")


@pytest.mark.parametrize(
    "name",
    [
        lambda data, row: data.files[row],
        lambda data, row: "/".join(data.files[row].split("/")[1:]),
        lambda data, row: data.files[row].split("/")[-1],
        lambda data, row: str(int(data.indices[row])),
    ],
    ids=["whole", "end", "file", "index"],
)
def test_the_pairs_of_a_file(tmp_path, name):
    data = Faces()
    rows, same = listed(data)
    file = write(tmp_path, data, rows, same, name)
    run = trainer(tmp_path, VerificationEvaluation(val_pairs=file))
    (logged,) = run.validate(Flatten(), loader(data), verbose=False)
    side = data.embedded()
    counts = tally_distances(pair_distances(side, side, rows), same)
    accuracy = judge_pairs(counts, fit_threshold(counts)).accuracy
    assert logged["val/accuracy"] == pytest.approx(accuracy)
    assert logged["val/same_pairs"] == same.sum()
    kept = parquet.read_table(tmp_path / "scores/val-pairs.parquet").to_pydict()
    assert kept["first"] == data.indices[rows[:, 0]].tolist()
    assert kept["same"] == same.tolist()
    assert 1 - torch.tensor(kept["similarity"]) == pytest.approx(
        pair_distances(side, side, rows).numpy() / 2
    )


def test_folds_of_a_file_have_lfws_accuracy(tmp_path):
    data = Faces()
    rows, same = listed(data)
    file = write(tmp_path, data, rows, same, folds=[str(row // 10) for row in range(40)])
    run = trainer(tmp_path, VerificationEvaluation(test_pairs=file, scores=False))
    (logged,) = run.test(Flatten(), loader(data), verbose=False)
    assert 0.5 < logged["test/fold_accuracy"] <= 1
    assert logged["test/fold_accuracy/standard_error"] < 0.2
    assert not (tmp_path / "scores").exists()


def test_the_pairs_that_the_data_lists(tmp_path):
    data = Faces()
    rows, same = listed(data)
    module = Data(data, None, (data.indices[rows], same))
    run = trainer(tmp_path, VerificationEvaluation())
    run.validate(Flatten(), datamodule=module, verbose=False)
    assert run.callback_metrics["val/same_pairs"] == same.sum()
    queries, gallery = Faces(20), Faces(60, first=500)
    pairs = torch.tensor([[100, 500], [101, 500], [119, 559]]), torch.tensor([True, False, False])
    run.validate(Flatten(), datamodule=Data([queries, gallery], None, pairs), verbose=False)
    assert run.callback_metrics["val/same_pairs"] == 1


def test_bad_pairs_are_refused_before_training(tmp_path):
    data, steps = Faces(), []

    class Counted(Flatten):
        def training_step(self, batch, batch_idx):
            steps.append(batch_idx)
            return super().training_step(batch, batch_idx)

    def refused(message, dataset=data, **files):
        run = trainer(tmp_path, VerificationEvaluation(**files))
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            run.fit(Counted(), loader(data), loader(dataset))
        assert not steps

    rows, same = listed(data)
    file = write(tmp_path, data, rows, same, lambda data, row: data.files[row].replace("7", "x"))
    refused(
        r"pairs\.csv, pair \d+: root.*x\.png must be one image.* it is not one of the data's",
        val_pairs=file,
    )
    data.files[5] = "other/000.png"
    file = write(tmp_path, data, torch.tensor([[0, 1]]), [True], lambda data, row: f"{row:03}.png")
    refused(r"pair 1: 000\.png must be one image.* the end of several files'", val_pairs=file)
    file = write(tmp_path, data, rows, torch.ones(40))
    refused("all of .*pairs.csv are the same", val_pairs=file)
    refused("does not exist", val_pairs=str(tmp_path / "none.csv"))
    refused("all of val are different", Faces(20, classes=20))
    refused("all of val are the same", Faces(20, classes=1))


def test_says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="above 0 and at most 1; got 2"):
        VerificationEvaluation(fars=(2.0,))
    with pytest.raises(ValueError, match="bootstrap is a number of draws"):
        VerificationEvaluation(bootstrap=-1)
    run = trainer(tmp_path, VerificationEvaluation())
    with pytest.raises(ValueError, match="of 60 embeddings hold NaN or infinity"):
        run.test(Flatten(broken=True), loader(Faces()), verbose=False)
    with pytest.raises(ValueError, match="there are 0 and 0"):
        run.test(Flatten(), loader(Faces(1)), verbose=False)
    with pytest.warns(
        UserWarning, match="all pairs are equally far apart, as those of a collapsed"
    ):
        (logged,) = run.test(Flatten(), loader(Faces(scale=0.0)), verbose=False)
    assert logged["test/auc"] == 0.5


def on_ranks(folder, data, file):
    results = []
    for callback in (VerificationEvaluation(bootstrap=20), VerificationEvaluation(file, file)):
        run = trainer(folder, callback, **on_these_ranks())
        run.validate(Flatten(), loader(data), verbose=False)
        results += run.test(Flatten(), loader(data), verbose=False)
    return results


def test_processes_get_the_numbers_of_one(run_on_ranks, tmp_path):
    data = Faces(61, classes=20)
    file = write(tmp_path, data, *listed(data))
    alone = []
    for callback in (VerificationEvaluation(bootstrap=20), VerificationEvaluation(file, file)):
        run = trainer(tmp_path / "alone", callback)
        run.validate(Flatten(), loader(data), verbose=False)
        alone += run.test(Flatten(), loader(data), verbose=False)
    for results in run_on_ranks(on_ranks, 2, tmp_path, data, file):
        assert results == alone
