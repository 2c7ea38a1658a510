import pytest
import pytorch_lightning as pl
import torch
from pyarrow import parquet
from torch.utils.data import Dataset

from ranklight.callbacks import LabelRanking
from ranklight.datamodules import Batch, evaluation_loader
from ranklight.metrics import evaluate_label_distances, evaluate_rank_correlation
from ranklight.pairs import LabelCloseness
from ranklight.search import Embedded
from tests.lightning_ranks import on_these_ranks


class Points(Dataset):
    def __init__(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        self.first = 1000 * seed
        self.labels = torch.rand(n, 2, generator=generator)
        self.images = torch.rand(n, 1, 2, 2, generator=generator)
        self.images[:, 0, 0] += self.labels

    def __len__(self):
        return len(self.labels)

    def __getitems__(self, places):
        return Batch(self.images[places], self.labels[places], self.first + torch.tensor(places))


class Data(pl.LightningDataModule):
    sets = (Points(9, 0), Points(30, 1))

    def __init__(self):
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def train_dataloader(self):
        return evaluation_loader(self.sets[1], 10)

    def val_dataloader(self):
        return [evaluation_loader(points, 4) for points in self.sets]

    test_dataloader = val_dataloader


class Flatten(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch, batch_idx):
        return self.scale.square()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return {"embeddings": batch.images.flatten(1)}

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


def trainer(folder, callback, **settings):
    return pl.Trainer(
        default_root_dir=folder,
        callbacks=[callback],
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        **settings,
    )


def expected(stage, ks, relevance=None, spearman=True):
    sides = [Embedded(points.images.flatten(1), points.labels) for points in Data.sets]
    scores = evaluate_label_distances(*sides, ks, relevance)
    if spearman:
        scores |= evaluate_rank_correlation(*sides, relevance)
    return {f"{stage}/{name}": value for name, value in scores.items()}


def test_logs_every_score_at_fit_validation_and_test(tmp_path):
    callback = LabelRanking(ks=(1, 10))
    run = trainer(tmp_path, callback)
    for stage, evaluate in (("val", run.validate), ("test", run.test)):
        logged = evaluate(Flatten(), datamodule=Data(), verbose=False)
        together = {name: value for loader in logged for name, value in loader.items()}
        assert together == pytest.approx(expected(stage, ks=(1, 10)), rel=1e-5)
    run.fit(Flatten(), datamodule=Data())
    assert "val/label_distance@10" in run.callback_metrics


def test_relevance_and_spearman_may_be_chosen(tmp_path):
    relevance = LabelCloseness(1.0)
    run = trainer(tmp_path, LabelRanking(ks=(5,), relevance=relevance, spearman=False))
    run.test(Flatten(), datamodule=Data(), verbose=False)
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    wanted = expected("test", ks=(5,), relevance=relevance, spearman=False)
    assert logged == pytest.approx(wanted, rel=1e-5)


def test_the_images_of_one_loader_are_compared_with_each_other(tmp_path):
    run = trainer(tmp_path, LabelRanking(ks=(2,)))
    run.test(Flatten(), Data().train_dataloader(), verbose=False)
    logged = {name.removeprefix("test/"): float(of) for name, of in run.callback_metrics.items()}
    points = Data().train_dataloader().dataset
    rows = Embedded(points.images.flatten(1), points.labels)
    wanted = evaluate_label_distances(rows, ks=(2,)) | evaluate_rank_correlation(rows)
    assert logged == pytest.approx(wanted, rel=1e-5)


def test_a_third_loader_is_refused(tmp_path):
    run = trainer(tmp_path, LabelRanking())
    with pytest.raises(
        ValueError, match=r"a list of loaders is \[queries, gallery\], this one has 3"
    ):
        run.test(Flatten(), [Data().train_dataloader()] * 3, verbose=False)


def on_a_rank(folder, rows):
    Data.sets = (Points(rows, 0), Points(30, 1))
    run = trainer(folder, LabelRanking(ks=(1, 10)), **on_these_ranks())
    run.test(Flatten(), datamodule=Data(), verbose=False)
    return {name: float(value) for name, value in run.callback_metrics.items()}


@pytest.mark.parametrize("rows", [9, 1])
def test_two_processes_log_the_numbers_of_one(run_on_ranks, tmp_path, rows, monkeypatch):
    first, second = run_on_ranks(on_a_rank, 2, tmp_path, rows)
    monkeypatch.setattr(Data, "sets", (Points(rows, 0), Points(30, 1)))
    assert first == second == pytest.approx(expected("test", ks=(1, 10)), rel=1e-5)


def test_the_scores_of_every_query_are_kept_and_their_means_are_those_logged(tmp_path):
    run = trainer(tmp_path, LabelRanking(ks=(1, 10)))
    run.test(Flatten(), datamodule=Data(), verbose=False)
    rows = parquet.read_table(tmp_path / "scores/test.parquet").to_pydict()
    assert rows.pop("id") == list(range(9))
    assert "class" not in rows
    assert len(rows) == 13
    for name, values in rows.items():
        logged = run.callback_metrics[f"test/{name}"].item()
        assert logged == pytest.approx(sum(values) / 9, rel=1e-6)
    run = trainer(tmp_path / "off", LabelRanking(ks=(1,), scores=False))
    run.test(Flatten(), datamodule=Data(), verbose=False)
    assert not (tmp_path / "off/scores").exists()
