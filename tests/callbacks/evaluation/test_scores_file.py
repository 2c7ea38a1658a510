"""What stands beside the scores of queries."""

from types import SimpleNamespace

import torch
from pyarrow import parquet
from pytorch_lightning import Trainer

from ranklight.callbacks.evaluation.scores_file import save_query_scores
from ranklight.search import shard


def test_the_box_of_each_query_stands_beside_its_file(tmp_path):
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False)
    data = SimpleNamespace(
        indices=torch.tensor([7, 3]), files=["a.png", "b.png"], boxes=[(1, 2, 3, 4), None]
    )
    columns = {"id": torch.tensor([3, 7]), "recall@1": torch.tensor([0.0, 1.0])}
    _, shards = shard(columns["id"])
    save_query_scores(trainer, "test", shards, columns, data)
    rows = parquet.read_table(tmp_path / "scores" / "test.parquet").to_pydict()
    assert rows["file"] == ["b.png", "a.png"]
    assert [rows[side] for side in ("x1", "y1", "x2", "y2")] == [
        [None, side] for side in (1, 2, 3, 4)
    ]
