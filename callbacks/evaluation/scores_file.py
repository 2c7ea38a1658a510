"""The scores of every query of an evaluation, in a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int, Shaped
from pytorch_lightning import Trainer
from torch import Tensor

from ranklight.search import Shards

_ROWS = 1 << 16

Columns = Mapping[str, Shaped[Tensor, "n"]]


def save_query_scores(
    trainer: Trainer, name: str, shards: Shards, columns: Columns, dataset: Any = None
) -> None:
    """Write `scores/<name>.parquet` of the run, one row a query.

    Beside the columns stand `file` where the data set has `files`, and `class_name` where the data
    module has `class_names`. Collective: rank 0 gathers the columns one by one and writes.

    Args:
        trainer: Whose run it is.
        name: The stage, or stage and loader: `val`, `test/queries`.
        shards: Which queries are this rank's.
        columns: `id` (the image's index), perhaps `class`, and scores, of this rank's queries.
        dataset: What the queries are of.
    """
    gathered = {name: shards.gather_to_rank0(of.contiguous()) for name, of in columns.items()}
    rows = {name: values.cpu() for name, values in gathered.items() if values is not None}
    if rows:
        write_scores(trainer, name, rows | _names(trainer, dataset, rows))


def write_scores(trainer: Trainer, name: str, rows: Mapping[str, Any]) -> None:
    """Write columns as `scores/<name>.parquet` of the run; on rank 0 alone, in one step."""
    from pyarrow import Table, parquet

    path = Path(trainer.default_root_dir) / "scores" / f"{name.replace('/', '-')}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".parquet.part")
    table = Table.from_pydict(
        {
            column: values.numpy() if isinstance(values, Tensor) else values
            for column, values in rows.items()
        }
    )
    parquet.write_table(table, fresh, row_group_size=_ROWS)
    fresh.replace(path)


def loaders_of(trainer: Trainer, name: str) -> Any:
    """The loaders of the stage that a name begins with."""
    return trainer.val_dataloaders if name.startswith("val") else trainer.test_dataloaders


def dataset_of(loaders: Any, number: int) -> Any:
    """The data set of one of a stage's loaders: a single one, a list, or a mapping."""
    if isinstance(loaders, Mapping):
        loaders = list(loaders.values())
    loader = loaders[number] if isinstance(loaders, list | tuple) else loaders
    return getattr(loader, "dataset", None)


def class_names_of(trainer: Trainer) -> list[str]:
    """The data module's name for each class number; none where it has no names."""
    data: Any = getattr(trainer, "datamodule", None)
    return list(getattr(data, "class_names", ()))


def files_of(dataset: Any, ids: Int[Tensor, "n"]) -> list[str] | None:
    """The file of each image, None where the data set has no `files`."""
    files, indices = getattr(dataset, "files", None), getattr(dataset, "indices", None)
    if files is None or indices is None or len(files) != len(indices):
        return None
    known, order = torch.as_tensor(indices).sort()
    found = torch.searchsorted(known, ids).clamp(max=max(len(known) - 1, 0))
    if len(known) == 0 or (known[found] != ids).any():
        return None
    return [str(files[row]) for row in order[found].tolist()]


def _names(trainer: Trainer, dataset: Any, rows: Mapping[str, Tensor]) -> dict[str, list[str]]:
    files, names = files_of(dataset, rows["id"]), class_names_of(trainer)
    found = {} if files is None else {"file": files}
    if "class" in rows and len(rows["class"]) and int(rows["class"].max()) < len(names):
        found["class_name"] = [names[label] for label in rows["class"].tolist()]
    return found
