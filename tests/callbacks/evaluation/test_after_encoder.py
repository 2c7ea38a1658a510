"""Steps after the encoder and other views, through a real Trainer, on one process and on more."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jsonargparse import ArgumentParser
from PIL import Image
from pyarrow import parquet
from torch.utils.data import DataLoader, Dataset

from ranklight.callbacks import RetrievalEvaluation
from ranklight.callbacks.evaluation.views import Crops, Mirrored, averaged
from ranklight.datamodules import Batch
from ranklight.datamodules.reading.image_files import ImageFiles
from ranklight.datamodules.split_data import SplitData
from ranklight.metrics import evaluate_retrieval
from ranklight.search import Embedded
from ranklight.search.after import (
    AlphaQueryExpansion,
    Chain,
    DatabaseAugmentation,
    KReciprocal,
    PcaWhitening,
    Retrieval,
)
from tests.lightning_ranks import on_these_ranks


class Points(Dataset):
    def __init__(self, n, seed, first=0):
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(n) % 6
        noise = torch.randn(n, 1, 2, 3, generator=generator)
        self.images = noise + self.labels[:, None, None, None] * torch.arange(3)
        self.first = first

    def __len__(self):
        return len(self.labels)

    def __getitems__(self, positions):
        index = torch.tensor(positions)
        return Batch(self.images[index], self.labels[index], self.first + index)


class Data(SplitData):
    def __init__(self, train=40, gallery=True):
        super().__init__(eval_batch_size=7, num_workers=0)
        self.train = Points(train, 0)
        queries, whole = Points(31, 1, 100), Points(43, 2, 200)
        self.test = [queries, whole] if gallery else whole
        self.val = self.test


def embed(images):
    return F.normalize(images.flatten(1))


class Unit(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def embed(self, images):
        return embed(images)

    def training_step(self, batch, batch_idx):
        return self.scale.square()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return {"embeddings": self.embed(batch.images)}

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


def trainer(folder, *callbacks, **settings):
    return pl.Trainer(
        default_root_dir=folder,
        callbacks=list(callbacks),
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **settings,
    )


def steps():
    chain = Chain([PcaWhitening(3, name="white"), KReciprocal(4, 2, candidates=9, name="again")])
    return [
        PcaWhitening(4),
        AlphaQueryExpansion(3),
        DatabaseAugmentation(3),
        KReciprocal(5, 2, candidates=10),
        chain,
    ]


def embedded(points):
    ids = points.first + torch.arange(len(points))
    return Embedded(embed(points.images), points.labels, ids)


def by_hand(data):
    """The scores of every step, without a trainer."""
    sides = data.test if isinstance(data.test, list) else [data.test]
    rows, scores = [embedded(side) for side in sides], {}
    for step in steps():
        step.fit(embedded(data.train))
        after = step(Retrieval(*rows))
        of = evaluate_retrieval(*after[:2], ks=(1, 2), search=after.search)
        scores |= {f"{step.name}/{name}": value for name, value in of.items() if name != "queries"}
    return scores


def evaluation(**options):
    return RetrievalEvaluation(ks=(1, 2), clustering=False, **options)


@pytest.mark.parametrize("gallery", [False, True])
def test_logs_each_step_beside_the_plain_search(tmp_path, capsys, gallery):
    data = Data(gallery=gallery)
    for stage in ("val", "test"):
        run = trainer(tmp_path, evaluation(after=steps()))
        evaluate = run.validate if stage == "val" else run.test
        evaluate(Unit(), data, verbose=False)
        logged = {name: value.item() for name, value in run.callback_metrics.items()}
        expected = {f"{stage}/{name}": value for name, value in by_hand(data).items()}
        assert {name: logged[name] for name in expected} == pytest.approx(expected, rel=1e-5)
        plain = evaluate_retrieval(*map(embedded, data.test if gallery else [data.test]), ks=(1, 2))
        assert logged[f"{stage}/recall@1"] == pytest.approx(plain["recall@1"], rel=1e-5)
        assert len(logged) == len(plain) + len(expected)
        shown = capsys.readouterr().out
        assert shown.count("seconds") == 1
        for name in ("plain", "pca_whitening", "alpha_qe", "white+again"):
            assert f" {name} " in shown
        assert max(map(len, shown.splitlines())) <= 80
    rows = parquet.read_table(tmp_path / "scores" / "test-alpha_qe.parquet")
    assert rows.num_rows == (31 if gallery else 43)


def test_training_does_none_of_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(PcaWhitening, "fit", None)
    callback = evaluation(after=steps(), views=[Mirrored()])
    run = trainer(tmp_path, callback)
    loader = DataLoader([0], batch_size=1)
    run.fit(Unit(), datamodule=WithLoader(loader))
    assert "val/recall@1" in run.callback_metrics
    assert not [name for name in run.callback_metrics if name.count("/") > 1]
    assert "seconds" not in capsys.readouterr().out


class WithLoader(Data):
    def __init__(self, loader):
        super().__init__(gallery=False)
        self.loader = loader
        self.split_hash = ""

    def train_dataloader(self):
        return self.loader


@pytest.mark.parametrize("gallery", [False, True])
def test_views_are_averaged_with_the_picture(tmp_path, gallery):
    data = Data(gallery=gallery)
    run = trainer(tmp_path, evaluation(views=[Mirrored()]))
    run.test(Unit(), data, verbose=False)
    rows = []
    for side in data.test if gallery else [data.test]:
        mean = (embed(side.images) + embed(side.images.flip(3))) / 2
        rows.append(Embedded(F.normalize(mean), side.labels, embedded(side).ids))
    for name, value in evaluate_retrieval(*rows, ks=(1, 2)).items():
        if name != "queries":
            logged = run.callback_metrics[f"test/mirrored/{name}"].item()
            assert logged == pytest.approx(value, rel=1e-5)


def test_several_data_sets_have_each_their_own(tmp_path):
    data = Data(gallery=False)
    loaders = {"a": data.test_dataloader(), "b": data._loader(Points(25, 9))}
    run = trainer(tmp_path, evaluation(after=[AlphaQueryExpansion(2)], views=[Mirrored()]))
    run.test(Unit(), pl.utilities.CombinedLoader(loaders, "sequential"), verbose=False)
    for name, side in (("a", data.test), ("b", Points(25, 9))):
        after = AlphaQueryExpansion(2)(Retrieval(embedded(side)))
        expected = evaluate_retrieval(*after[:2], ks=(1, 2))["map@r"]
        logged = run.callback_metrics[f"test/{name}/alpha_qe/map@r"].item()
        assert logged == pytest.approx(expected, rel=1e-5)
        assert f"test/{name}/mirrored/map@r" in run.callback_metrics


@pytest.mark.parametrize("gallery", [False, True])
def test_levels_are_scored_after_a_step_too(tmp_path, gallery):
    data = Data(gallery=gallery)
    sides = data.test if gallery else [data.test]
    rows = []
    for side in sides:
        side.indices = embedded(side).ids
        side.levels = {"coarse": side.labels // 2}
        rows.append(Embedded(embed(side.images), side.labels // 2, side.indices))
    after = [AlphaQueryExpansion(3), KReciprocal(5, 2, candidates=10)]
    run = trainer(tmp_path, evaluation(after=after, levels=["coarse"]))
    run.test(Unit(), data, verbose=False)
    for step in after:
        queries, among, search = step(Retrieval(*rows))
        expected = evaluate_retrieval(queries, among, ks=(1,), search=search)["recall@1"]
        logged = run.callback_metrics[f"test/{step.name}/coarse/recall@1"].item()
        assert logged == pytest.approx(expected, rel=1e-5)


def test_yaml_names_steps_and_views():
    room = "ranklight.search.after"
    chain = {"steps": [{"class_path": f"{room}.AlphaQueryExpansion", "init_args": {"n": 3}}]}
    options = {
        "after": [
            {"class_path": f"{room}.PcaWhitening", "init_args": {"dimensions": 16}},
            {"class_path": f"{room}.Chain", "init_args": chain},
        ],
        "views": [{"class_path": "ranklight.callbacks.evaluation.views.Crops"}],
    }
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(RetrievalEvaluation, "evaluation")
    built = parser.instantiate_classes(parser.parse_object({"evaluation": options})).evaluation
    whitening, expansion = built.after_encoder.after
    assert whitening.dimensions == 16
    assert expansion.steps[0].n == 3
    assert isinstance(built.after_encoder.views[0], Crops)


def test_views_of_pictures():
    images = torch.arange(2 * 3 * 8 * 8, dtype=torch.uint8).view(2, 3, 8, 8)
    (mirrored,) = Mirrored()(images)
    assert torch.equal(mirrored[..., 0], images[..., -1])
    views = Crops(0.5)(images)
    assert len(views) == 10
    assert all(view.shape == images.shape and view.dtype == torch.uint8 for view in views)
    whole = Crops(1.0, mirrored=False)(images)
    assert len(whole) == 5
    assert all(torch.equal(view, images) for view in whole)


def test_views_stay_as_long_as_the_encoder_makes_them():
    images = torch.rand(3, 1, 2, 2)
    plain = images.flatten(1)
    mean = averaged(plain, images, Mirrored(), lambda given: given.flatten(1))
    torch.testing.assert_close(mean, (images + images.flip(3)).flatten(1) / 2)


@pytest.mark.parametrize("fraction", [0.0, 1.5, float("nan")])
def test_refuses_crops_of_nothing(fraction):
    with pytest.raises(ValueError, match="a fraction above 0 and up to 1 of a side; got"):
        Crops(fraction)


def test_refuses_two_of_one_name():
    both = {"after": [AlphaQueryExpansion(2), AlphaQueryExpansion(5)]}
    with pytest.raises(ValueError, match="two steps after the encoder are called 'alpha_qe'"):
        RetrievalEvaluation(**both)
    RetrievalEvaluation(after=[AlphaQueryExpansion(2), AlphaQueryExpansion(5, name="five")])


def test_refuses_to_fit_on_nothing_before_it_begins(tmp_path):
    run = trainer(tmp_path, evaluation(after=[PcaWhitening()]))
    with pytest.raises(ValueError, match="pca_whitening is fitted on embeddings of training"):
        run.test(Unit(), Data(gallery=False).test_dataloader())
    with pytest.raises(ValueError, match="pca_whitening is fitted on embeddings of training"):
        run.test(Unit(), Data(train=0))


def test_refuses_a_module_that_embeds_nothing_else(tmp_path):
    class Flat(pl.LightningModule):
        def test_step(self, batch, batch_idx):
            return {"embeddings": batch.images.flatten(1)}

    run = trainer(tmp_path, evaluation(views=[Mirrored()]))
    with pytest.raises(ValueError, match=r"Flat needs a method embed\(images\) for mirrored"):
        run.test(Flat(), Data(gallery=False))


def test_training_images_are_seen_as_in_evaluation(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "black.png")
    files = ImageFiles([tmp_path / "black.png"], torch.zeros(1).long(), np.array([0]), torch.neg)
    other = files.seen_through(torch.bitwise_not)
    assert other.__getitems__([0]).images.unique().tolist() == [255]
    assert files.__getitems__([0]).images.unique().tolist() == [0]


def on_these(folder, gallery):
    callback = evaluation(after=steps(), views=[Mirrored()])
    run = trainer(folder, callback, use_distributed_sampler=False, **on_these_ranks())
    run.test(Unit(), Data(gallery=gallery), verbose=False)
    return {name: value.item() for name, value in run.callback_metrics.items()}


@pytest.mark.parametrize(("ranks", "gallery"), [(2, False), (4, True)])
def test_ranks_get_the_numbers_of_one_process(run_on_ranks, tmp_path, ranks, gallery):
    (alone,) = run_on_ranks(on_these, 1, tmp_path, gallery)
    assert len(alone) > 20
    assert run_on_ranks(on_these, ranks, tmp_path, gallery) == [alone] * ranks
