"""The evaluation through a real Trainer, on one process and on two."""

import logging
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
import torch.nn.functional as F
from pyarrow import parquet
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import DataLoader, Dataset, Subset

from ranklight.callbacks import (
    EmbeddingMap,
    LabelRanking,
    RetrievalEvaluation,
    TripletPrecision,
    VerificationEvaluation,
)
from ranklight.callbacks.evaluation import progress
from ranklight.callbacks.evaluation import retrieval as module
from ranklight.callbacks.evaluation.embedding_collector import EmbeddingCollector
from ranklight.datamodules import Batch
from ranklight.losses import ContrastiveLoss
from ranklight.metrics import Scoring, evaluate_clustering, evaluate_retrieval
from ranklight.pairs import Matryoshka, Objective
from ranklight.search import Embedded
from tests.lightning_ranks import on_these_ranks


class Points(Dataset):
    def __init__(self, n=60, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(n) % 6
        self.images = (
            torch.randn(n, 1, 2, 2, generator=generator) + self.labels[:, None, None, None]
        )

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return Batch(self.images[index], self.labels[index], torch.tensor(index))


class Flatten(pl.LightningModule):
    """Gives what it is given, flat."""

    def __init__(self, broken=False):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.broken = broken

    def training_step(self, batch, batch_idx):
        return self.scale.square()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        embeddings = batch.images.flatten(1)
        return {"embeddings": embeddings.log() if self.broken else embeddings}

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


def trainer(tmp_path, *callbacks, **settings):
    defaults = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return pl.Trainer(default_root_dir=tmp_path, callbacks=list(callbacks), **defaults | settings)


def loader(data=None):
    return DataLoader(data or Points(), batch_size=7)


def expected(data):
    embedded = Embedded(data.images.flatten(1), data.labels)
    return evaluate_retrieval(embedded) | evaluate_clustering(embedded)


def test_logs_every_score_at_validation_and_test(tmp_path):
    data = Points()
    run = trainer(tmp_path, evaluation := RetrievalEvaluation())
    for stage, evaluate in (("val", run.validate), ("test", run.test)):
        (logged,) = evaluate(Flatten(), loader(data), verbose=False)
        scores = {f"{stage}/{name}": value for name, value in expected(data).items()}
        assert logged == pytest.approx(scores, rel=1e-5)
        assert torch.equal(evaluation.last.embeddings, data.images.flatten(1))
        assert torch.equal(evaluation.last.labels, data.labels)
        assert torch.equal(evaluation.last.ids, torch.arange(60))


def test_a_checkpoint_may_monitor_it(tmp_path):
    best = ModelCheckpoint(tmp_path, "best", monitor="val/map@r", mode="max")
    run = trainer(tmp_path, RetrievalEvaluation(ks=(1,)), best, enable_checkpointing=True)
    run.fit(Flatten(), loader(), loader())
    assert best.best_model_score == pytest.approx(expected(Points())["map@r"], rel=1e-5)


def test_sanity_validation_evaluates_nothing(tmp_path, monkeypatch):
    checked = []

    class OnlySanity(pl.Callback):
        def on_sanity_check_end(self, trainer, pl_module):
            checked.append(trainer.current_epoch)
            trainer.limit_val_batches = 0

    def refuse(*args, **kwargs):
        raise AssertionError("evaluated")

    monkeypatch.setattr(module, "score_retrieval", refuse)
    monkeypatch.setattr(module, "evaluate_clustering", refuse)
    evaluation = RetrievalEvaluation()
    run = trainer(tmp_path, evaluation, OnlySanity(), num_sanity_val_steps=-1)
    run.fit(Flatten(), loader(), loader())
    assert checked == [0]
    assert evaluation.last is None


def logged_by(run):
    return {name: float(value) for name, value in run.callback_metrics.items()}


def test_a_mapping_of_loaders_is_scored_one_by_one(tmp_path):
    sets = {"birds": Points(seed=1), "cars": Points(seed=2)}
    run = trainer(tmp_path, evaluation := RetrievalEvaluation(clustering=False))
    loaders = CombinedLoader({name: loader(of) for name, of in sets.items()}, "sequential")
    run.validate(Flatten(), loaders, verbose=False)
    named = logged_by(run)
    for name, data in sets.items():
        assert named[f"val/{name}/map@r"] == pytest.approx(expected(data)["map@r"], rel=1e-5)
    assert torch.equal(evaluation.last.embeddings, sets["birds"].images.flatten(1))
    assert not any("nmi" in name for name in named)


def test_two_loaders_are_queries_and_gallery(tmp_path):
    first, second = Points(seed=1), Points(seed=2)
    run = trainer(tmp_path, evaluation := RetrievalEvaluation(whole_ranking=True))
    run.validate(Flatten(), [loader(first), loader(second)], verbose=False)
    sides = [
        Embedded(points.images.flatten(1), points.labels, torch.arange(60))
        for points in (first, second)
    ]
    wanted = evaluate_retrieval(*sides, scoring=Scoring(whole_ranking=True))
    assert logged_by(run) == pytest.approx({f"val/{of}": x for of, x in wanted.items()}, rel=1e-5)
    assert torch.equal(evaluation.last_gallery.embeddings, second.images.flatten(1))


def test_clusters_every_so_many_epochs_and_always_at_test(tmp_path):
    seen = []

    class Watch(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            seen.append("val/nmi" in trainer.callback_metrics)

    settings = {"max_epochs": 4, "num_sanity_val_steps": 0, "limit_train_batches": 1}
    evaluation = RetrievalEvaluation(cluster_every_n_epochs=3)
    run = trainer(tmp_path, evaluation, Watch(), **settings)
    model = Flatten()
    run.fit(model, loader(), loader())
    assert seen[:3] == [False, False, True]
    assert "test/nmi" in run.test(model, loader(), verbose=False)[0]


def test_repeated_rows_count_once_in_any_order(tmp_path):
    data = Points()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0)).tolist()
    run = trainer(tmp_path, RetrievalEvaluation())
    with pytest.warns(UserWarning, match="3 of 63 evaluated rows have the index of another"):
        (logged,) = run.test(Flatten(), loader(Subset(data, [*order, 3, 3, 59])), verbose=False)
    assert logged["test/map@r"] == pytest.approx(expected(data)["map@r"], rel=1e-6)
    assert logged["test/queries"] == 60


@pytest.mark.parametrize("bar", ["rich", "none"])
def test_progress_names_the_stage(tmp_path, monkeypatch, caplog, bar):
    monkeypatch.setattr(progress, "_TINY", 10)
    named = []
    callbacks = [RetrievalEvaluation()]
    if bar == "rich":

        class Bar(RichProgressBar):
            def on_validation_end(self, trainer, pl_module):
                named.extend(task.description for task in self.progress.tasks)

        callbacks.append(Bar())
    with caplog.at_level(logging.INFO, logger="ranklight.callbacks.evaluation.progress"):
        run = trainer(tmp_path, *callbacks, enable_progress_bar=bar == "rich")
        run.validate(Flatten(), loader(), verbose=False)
    if bar == "rich":
        assert named == ["val: embed", "val: search", "val: cluster"]
    else:
        ours = [
            record
            for record in caplog.records
            if record.name == "ranklight.callbacks.evaluation.progress"
        ]
        messages = [record.message for record in ours]
        assert messages == ["val: search among 60 embeddings", "val: cluster among 60 embeddings"]


def test_says_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="cluster_every_n_epochs"):
        RetrievalEvaluation(cluster_every_n_epochs=0)
    run = trainer(tmp_path, RetrievalEvaluation())
    with pytest.raises(ValueError, match=r"of 60 embeddings hold NaN or infinity"):
        run.test(Flatten(broken=True), loader(), verbose=False)
    batch = Points()[0]
    with pytest.raises(ValueError, match="must return a mapping or named tuple with `embeddings`"):
        EmbeddingCollector().add(torch.ones(1, 2), batch)
    with pytest.raises(
        ValueError, match=r"(?s)one class number an image, .* not labels of shape \(1, 3\)"
    ):
        RetrievalEvaluation()._add(run, None, batch._replace(labels=torch.ones(1, 3)), 0)


def collect_a_share(counts):
    """Rows of one rank, shuffled, every third of them given twice."""
    rank = dist.get_rank()
    start = sum(counts[:rank])
    index = torch.arange(start, start + counts[rank]).flip(0)
    collector = EmbeddingCollector()
    for part in (*index.split(2), index[::3]):
        if len(part):
            rows = part[:, None].double().expand(-1, 3)
            collector.add({"embeddings": rows}, Batch(rows, torch.stack([part % 4] * 2, 1), part))
    rows = collector.rows(torch.device("cpu"))
    return rows.embeddings, rows.labels, rows.ids, rows.shards.own, rows.shards.size


def on_ranks(folder, shares, data):
    collected = [collect_a_share(counts) for counts in shares]
    evaluation = RetrievalEvaluation()
    run = trainer(folder, evaluation, **on_these_ranks())
    (logged,) = run.test(Flatten(), loader(data), verbose=False)
    return collected, logged, (evaluation.last.embeddings, evaluation.last.ids)


@pytest.mark.parametrize("shares", [[(5, 4), (0, 7), (6, 0)], [(5, 4, 0, 3)]])
def test_processes_share_the_rows_and_get_the_numbers_of_one(run_on_ranks, tmp_path, shares):
    data = Points(61)
    ranks = run_on_ranks(on_ranks, len(shares[0]), tmp_path, shares, data)
    for rank, (collected, logged, last) in enumerate(ranks):
        for counts, (embeddings, labels, index, positions, size) in zip(
            shares, collected, strict=True
        ):
            start = sum(counts[:rank])
            assert index.tolist() == list(range(start, start + counts[rank]))
            assert size == sum(counts)
            assert torch.equal(positions, index)
            assert labels.shape == (len(index), 2)
            assert torch.equal(labels[:, 1], index % 4)
            assert torch.equal(embeddings[:, 2], index.double())
        alone = {f"test/{name}": value for name, value in expected(data).items()}
        assert logged == pytest.approx(alone, rel=1e-6)
        assert torch.equal(last[0], data.images.flatten(1)[last[1]])
    alone = trainer(tmp_path / "alone", RetrievalEvaluation())
    alone.test(Flatten(), loader(data), verbose=False)
    assert scores_of(tmp_path, "test") == scores_of(tmp_path / "alone", "test")
    shown = torch.cat([last[1] for *_, last in ranks])
    assert shown.sort().values.tolist() == list(range(61))


def test_too_many_to_cluster_is_said(tmp_path):
    run = trainer(tmp_path, RetrievalEvaluation(cluster_at_most=59))
    with pytest.warns(UserWarning, match="60 images are more than cluster_at_most=59"):
        (logged,) = run.test(Flatten(), loader(), verbose=False)
    assert "test/map@r" in logged
    assert "test/nmi" not in logged


def test_an_approximate_index_reports_what_it_finds(tmp_path):
    run = trainer(tmp_path, RetrievalEvaluation(index="HNSW", effort=100, clustering=False))
    (logged,) = run.test(Flatten(), loader(), verbose=False)
    assert logged["test/index_recall@8"] == 1
    assert logged["test/map@r"] == pytest.approx(expected(Points())["map@r"], rel=1e-6)


def scores_of(folder, name):
    return parquet.read_table(folder / "scores" / f"{name}.parquet").to_pydict()


class Named(Points):
    """Points that come from files."""

    def __init__(self, n=60):
        super().__init__(n)
        self.indices = torch.arange(n)
        self.files = [f"images/{index}.png" for index in range(n)]


class NamedClasses(pl.LightningDataModule):
    class_names = tuple("abcdef")

    def test_dataloader(self):
        return loader(Named())


def test_the_scores_of_every_query_are_kept_and_their_means_are_those_logged(tmp_path):
    run = trainer(tmp_path, RetrievalEvaluation())
    (logged,) = run.test(Flatten(), datamodule=NamedClasses(), verbose=False)
    rows = scores_of(tmp_path, "test")
    assert rows.pop("id") == list(range(60))
    assert rows.pop("file") == Named().files
    assert rows.pop("class") == Points().labels.tolist()
    assert rows.pop("class_name") == [NamedClasses.class_names[k] for k in Points().labels]
    assert set(rows) == {f"recall@{k}" for k in (1, 2, 4, 8)} | {"r_precision", "map@r"}
    for name, values in rows.items():
        assert logged[f"test/{name}"] == pytest.approx(sum(values) / 60, rel=1e-6)


def test_scores_are_kept_of_each_loader_and_of_the_last_epoch_of_fit(tmp_path):
    run = trainer(tmp_path, RetrievalEvaluation(clustering=False), max_epochs=2)
    sets = {"birds": Points(seed=1), "cars": Points(30, seed=2)}
    loaders = CombinedLoader({name: loader(of) for name, of in sets.items()}, "sequential")
    run.fit(Flatten(), loader(), loaders)
    assert len(scores_of(tmp_path, "val-birds")["id"]) == 60
    assert len(scores_of(tmp_path, "val-cars")["id"]) == 30
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == [
        "val-birds-classes.parquet",
        "val-birds.parquet",
        "val-cars-classes.parquet",
        "val-cars.parquet",
    ]


def test_no_scores_are_kept_where_they_are_turned_off(tmp_path):
    run = trainer(tmp_path, RetrievalEvaluation(clustering=False, scores=False))
    run.test(Flatten(), loader(), verbose=False)
    assert not (tmp_path / "scores").exists()


def test_two_images_with_one_index_are_refused(unchecked):
    collector = EmbeddingCollector()
    index = torch.tensor([4, 9, 4])
    batch = Batch(torch.rand(3, 1, 1, 2), torch.tensor([0, 1, 2]), index)
    collector.add({"embeddings": batch.images.flatten(1)}, batch)
    with pytest.raises(ValueError, match="two rows with index 4 have different labels"):
        collector.rows(torch.device("cpu"))


def scores_of_prefixes(data, vectors, *sizes):
    found = {}
    for size in sizes:
        scores = evaluate_retrieval(
            Embedded(vectors(data.images.flatten(1)[:, :size]), data.labels)
        )
        found |= {f"val/d{size}/{name}": of for name, of in scores.items() if name != "queries"}
    return found


def of_prefixes(logged):
    return {name: score for name, score in logged.items() if name.startswith("val/d")}


def test_prefixes_are_scored_as_embeddings_of_length_1(tmp_path):
    data = Points()
    run = trainer(tmp_path, evaluation := RetrievalEvaluation(clustering=False, prefixes=[1, 3]))
    (logged,) = run.validate(Flatten(), loader(data), verbose=False)
    expected = scores_of_prefixes(data, F.normalize, 1, 3)
    assert of_prefixes(logged) == pytest.approx(expected, rel=1e-5)
    assert {f"val/{name}" for name in evaluation.logs()} == set(logged)
    rows = scores_of(tmp_path, "val-d3")
    assert logged["val/d3/recall@1"] == pytest.approx(sum(rows["recall@1"]) / 60)
    whole = evaluate_retrieval(Embedded(data.images.flatten(1), data.labels))
    assert logged["val/recall@1"] == pytest.approx(whole["recall@1"])


@pytest.mark.parametrize("normalize", [True, False])
def test_prefixes_that_a_module_trains_are_scored_as_they_are_trained(tmp_path, normalize):
    data, learner = Points(), Flatten()
    learner.objective = Matryoshka(Objective(ContrastiveLoss()), [2, 4], normalize=normalize)
    run = trainer(tmp_path, RetrievalEvaluation(clustering=False))
    (logged,) = run.validate(learner, loader(data), verbose=False)
    vectors = F.normalize if normalize else torch.Tensor.clone
    expected = scores_of_prefixes(data, vectors, 2, 4)
    assert of_prefixes(logged) == pytest.approx(expected, rel=1e-5)
    none = trainer(tmp_path, RetrievalEvaluation(clustering=False, prefixes=[]))
    assert not of_prefixes(none.validate(learner, loader(data), verbose=False)[0])


def test_a_prefix_of_queries_is_sought_among_that_of_the_gallery(tmp_path):
    queries, gallery = Points(seed=1), Points(seed=2)
    run = trainer(tmp_path, RetrievalEvaluation(clustering=False, prefixes=[2]))
    run.validate(Flatten(), [loader(queries), loader(gallery)], verbose=False)
    rows = [
        Embedded(F.normalize(of.images.flatten(1)[:, :2]), of.labels, torch.arange(60))
        for of in (queries, gallery)
    ]
    expected = evaluate_retrieval(*rows)["recall@1"]
    assert logged_by(run)["val/d2/recall@1"] == pytest.approx(expected)


def test_prefixes_that_cannot_be_are_refused_before_anything_runs(tmp_path):
    for sizes, words in (([0], "must be 1 to"), ([2, 2], "must all be different")):
        with pytest.raises(ValueError, match=words):
            RetrievalEvaluation(prefixes=sizes)
    learner = Flatten()
    learner.encoder = torch.nn.Identity()
    learner.encoder.embedding_dim = 4
    with pytest.raises(ValueError, match="at most the 4 numbers of an embedding; got 5"):
        trainer(tmp_path, RetrievalEvaluation(prefixes=[5])).validate(learner, loader())


@pytest.mark.parametrize(
    ("settings", "groups", "words"),
    [
        ({"apart": "group"}, None, "apart group needs groups, and no image of validation and test"),
        ({"apart": "class_and_group"}, [-1, -1], "apart class_and_group needs groups"),
        ({"levels": ["kind"]}, [0, 1], "levels names 'kind', .*; there are: above"),
        ({"apart": "group", "levels": ["above"]}, [0, -1], None),
    ],
)
def test_groups_and_levels_that_no_image_has_are_refused_in_setup(
    settings, groups, words, unchecked
):
    split = SimpleNamespace(
        labels=torch.tensor([0, 1]),
        indices=torch.tensor([0, 1]),
        groups=None if groups is None else torch.tensor(groups),
        levels={"above": torch.tensor([0, 0])},
    )
    run = SimpleNamespace(datamodule=SimpleNamespace(train=split, val=split, test=[split, split]))
    evaluation = RetrievalEvaluation(**settings)
    if words is None:
        evaluation.setup(run, Flatten(), "fit")
        return
    with pytest.raises(ValueError, match=words):
        evaluation.setup(run, Flatten(), "fit")


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (RetrievalEvaluation, {"apart": "camera"}, "apart must be one of image, group, class_and"),
        (RetrievalEvaluation, {"index": "LSH"}, "index must be one of exact, IVFFlat"),
        (RetrievalEvaluation, {"effort": 0}, "effort must be 1"),
        (RetrievalEvaluation, {"restarts": 0}, "restarts must be 1"),
        (RetrievalEvaluation, {"cluster_every_n_epochs": 0}, "cluster_every_n_epochs must be 1"),
        (VerificationEvaluation, {"apart": "camera"}, "apart must be one of"),
        (LabelRanking, {"ks": ()}, "LabelRanking needs at least one K"),
        (LabelRanking, {"ks": (0,)}, "LabelRanking needs at least one K, each 1 or more"),
        (TripletPrecision, {"k": 0}, "k must be 1"),
        (EmbeddingMap, {"perplexity": 0.0}, "perplexity must be above 0"),
    ],
)
def test_settings_of_callbacks_that_cannot_be(kind, settings, words, unchecked):
    with pytest.raises(ValueError, match=words):
        kind(**settings)
