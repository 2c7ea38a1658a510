import numpy as np
import pytest
import torch
from pyarrow import parquet, table

from ranklight.datamodules import RegressionTable
from tests.trees import regression_table, table_rows

SPLITS = ["train"] * 30 + ["val_query"] * 3 + ["val_gallery"] * 5 + ["test"] * 10


@pytest.fixture
def folder(tmp_path):
    regression_table(tmp_path, rows())
    return tmp_path


def rows(splits=SPLITS):
    values = np.random.default_rng(1).random((len(splits), 2)).round(3).tolist()
    return [
        [image, *labels, *rest]
        for (image, _, _, *rest), labels in zip(table_rows(splits), values, strict=True)
    ]


def write(folder, content):
    regression_table(folder, content)
    return str(folder / "table.csv")


def make(table, labels=("age", "weight"), **arguments):
    settings = {"batch_size": 10, "image_size": 32, "resize": 36, "num_workers": 0}
    data = RegressionTable(table, list(labels), **settings | arguments)
    data.setup()
    return data


def test_splits_labels_and_weights(folder):
    data = make(write(folder, rows()), weights=[1.0, 10.0])
    expected = torch.tensor([row[1:3] for row in rows()]) * torch.tensor([1.0, 10.0])
    assert torch.equal(data.train.labels, expected[:30])
    assert torch.equal(data.val[1].labels, expected[33:38])
    assert [len(split) for split in (*data.val, *data.test)] == [3, 5, 2, 8]
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape == (10, 3, 32, 32)
    distance = (expected[:30] - batch.labels[0]).norm(dim=1)
    assert torch.equal(distance.argsort()[1:6], batch.index[1:6])
    loaders = [*data.val_dataloader(), *data.test_dataloader()]
    assert [sum(len(batch.index) for batch in loader) for loader in loaders] == [3, 5, 2, 8]


def test_parquet_holds_the_same(folder):
    columns = dict(
        zip(["image", "age", "weight", "note", "split"], zip(*rows(), strict=True), strict=True)
    )
    parquet.write_table(table(columns), folder / "table.parquet")
    one, other = make(str(folder / "table.parquet")), make(write(folder, rows()))
    assert one.split_hash == other.split_hash
    assert torch.equal(one.train.labels, other.train.labels)
    with pytest.raises(ValueError, match=r"table\.parquet has no column size; it has image, age"):
        make(str(folder / "table.parquet"), ["age", "size"])


def test_validation_is_held_out_where_there_is_none(folder):
    splits = ["train"] * 40 + ["test_query"] * 3 + ["test_gallery"] * 5
    data = make(write(folder, rows(splits)))
    assert [len(split) for split in (data.train, *data.val, *data.test)] == [36, 1, 3, 3, 5]
    assert make(write(folder, rows(splits)), split_seed=1).split_hash != data.split_hash


def test_lists_are_kept_and_augmentation_may_be_left_out(folder):
    cache = folder / "cache"
    table = write(folder, rows())
    data = make(table, cache_dir=str(cache), least_crop=1.0)
    assert len(list(cache.iterdir())) == 1
    images = [data.train.__getitems__([(epoch, 3)]).images for epoch in (0, 1)]
    assert torch.equal(*images)
    data = make(table, cache_dir=str(cache), mirror=True)
    images = [data.train.__getitems__([(epoch, 3)]).images for epoch in (0, 1)]
    assert not torch.equal(*images)


def test_lists_from_a_file(folder):
    np.savez(folder / "lists.npz", index=(np.arange(30)[:, None] + np.arange(1, 6)) % 30)
    data = make(write(folder, rows()), lists=str(folder / "lists.npz"))
    anchor, *near = next(iter(data.train_sampler))[:6]
    assert near == [(anchor + step) % 30 for step in range(1, 6)]


def changed(row, column, value):
    content = rows()
    content[row][column] = value
    return content


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (changed(4, 1, "nan"), ValueError, "row 5: age must be finite numbers; got nan"),
        (changed(4, 2, "inf"), ValueError, "row 5: weight must be finite numbers; got inf"),
        (changed(6, 2, "heavy"), ValueError, "row 7: weight is 'heavy', which is no number"),
        (changed(6, 2, ""), ValueError, "row 7: weight is '', which is no number"),
        (changed(2, 4, "tset"), ValueError, "row 3: split is 'tset', which is none of train"),
        (
            changed(9, 0, "gone.png"),
            FileNotFoundError,
            r"1 of 48 image files .*gone\.png \(.*row 10\)",
        ),
        (rows(["train"] * 48), ValueError, "no image in the split test"),
        ([], ValueError, "has no rows"),
    ],
)
def test_bad_tables_are_refused(folder, content, error, message):
    with pytest.raises(error, match=message):
        make(write(folder, content))


def test_bad_arguments_are_refused(folder):
    table = write(folder, rows())
    with pytest.raises(ValueError, match=r"table\.csv has no column size; it has image, age"):
        make(table, ["age", "size"])
    with pytest.raises(ValueError, match="2 label columns need as many weights"):
        make(table, weights=[1.0])
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv does not exist"):
        make(str(folder / "nothing.csv"))
    (folder / "table.txt").write_text("")
    with pytest.raises(ValueError, match=r"must be a \.csv, .* or \.ndjson file"):
        make(str(folder / "table.txt"))
    constant = [[*row[:1], 1.0, 1.0, *row[3:]] for row in rows()]
    with pytest.raises(ValueError, match="all 30 labels are equal"):
        make(write(folder, constant))
