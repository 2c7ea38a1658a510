import pytest
import pytorch_lightning as pl
import torch
from pyarrow import parquet

from ranklight.callbacks import SamplerStatistics, TripletPrecision
from ranklight.datamodules import DigitRelevance
from ranklight.metrics import evaluate_triplets
from ranklight.models import Pixels
from ranklight.search import Embedded


class Untrained(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, batch_idx):
        return self.weight.square()

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        return {"embeddings": Pixels()(batch.images)}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def data(**arguments):
    return DigitRelevance(train_scenes=90, val_scenes=(4, 30), test_scenes=(5, 40), **arguments)


def run(tmp_path, callback, module, **settings):
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        callbacks=[callback],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **settings,
    )
    trainer.test(Untrained(), datamodule=module, verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def expected(module, triplets, k):
    queries, gallery = module.test
    embedded = [
        Embedded(Pixels()(split.__getitems__(list(range(len(split)))).images))
        for split in module.test
    ]
    starts = torch.stack([split.indices[0] for split in (queries, gallery, gallery)])
    scores = evaluate_triplets(*embedded, triplets - starts, k)
    return {f"test/{name}": value for name, value in scores.items()}


def test_scores_the_data_modules_triplets(tmp_path):
    module = data()
    logged = run(tmp_path, TripletPrecision(k=5), module)
    assert logged == pytest.approx(expected(module, module.triplets("test"), 5))
    assert 0.4 < logged["test/similarity_precision"] < 1


def test_scores_the_triplets_of_a_file(tmp_path):
    module = data()
    module.setup()
    triplets = module.triplets("test")[:9]
    file = tmp_path / "triplets.csv"
    rows = "".join(f"{q},{p},{n}\n" for q, p, n in triplets.tolist())
    file.write_text("query,positive,negative\n" + rows)
    logged = run(tmp_path, TripletPrecision(test_file=str(file)), module)
    assert logged == pytest.approx(expected(module, triplets, 30))
    file.write_text("query,positive,negative\n0,1,2\n")
    with pytest.raises(ValueError, match=r"triplets\.csv, line 2: 0,1,2 is not a known query"):
        run(tmp_path, TripletPrecision(test_file=str(file)), module)


def test_a_triplet_of_an_image_that_was_not_embedded_is_refused(tmp_path):
    module = data(eval_batch_size=8)
    with pytest.raises(ValueError, match=r"images were not embedded, the first is \d+"):
        run(tmp_path, TripletPrecision(), module, limit_test_batches=1)


def test_data_without_triplets_is_refused(tmp_path):
    module = data()
    module.setup()

    class Bare(pl.LightningDataModule):
        test_dataloader = module.test_dataloader

    with pytest.raises(ValueError, match="or data with triplets of its own, not Bare"):
        run(tmp_path, TripletPrecision(), Bare())


def test_the_samplers_statistics_are_logged(tmp_path):
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        callbacks=[SamplerStatistics()],
        accelerator="cpu",
        logger=False,
        max_epochs=1,
        limit_val_batches=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    module = data(triplets_per_batch=5)
    trainer.fit(Untrained(), datamodule=module)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    counted = module.train_sampler.statistics()
    assert logged == pytest.approx({f"train/sampler/{name}": v for name, v in counted.items()})
    assert 0 < logged["train/sampler/acceptance"] < 1


def test_the_scores_of_every_triplet_are_kept(tmp_path):
    module = data()
    logged = run(tmp_path, TripletPrecision(k=5), module)
    rows = parquet.read_table(tmp_path / "scores/test-triplets.parquet").to_pydict()
    images = list(zip(rows["query"], rows["positive"], rows["negative"], strict=True))
    assert images == [tuple(triplet) for triplet in module.triplets("test").tolist()]
    precision = rows["similarity_precision"]
    assert logged["test/similarity_precision"] == pytest.approx(sum(precision) / len(precision))
    assert logged["test/score@5"] == sum(rows["score@5"])
    run(tmp_path / "off", TripletPrecision(k=5, scores=False), data())
    assert not (tmp_path / "off/scores").exists()
