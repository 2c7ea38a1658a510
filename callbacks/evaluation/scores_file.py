"""The scores of every query of an evaluation, in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from pytorch_lightning import Trainer
from torch import Tensor

from ranklight.datamodules.reading.boxes import SIDES
from ranklight.metrics import average_by_class
from ranklight.search import Embedded, Shards

_ROWS = 1 << 16

Columns = Mapping[str, Shaped[Tensor, "n"]]


def save_query_scores(
    trainer: Trainer, name: str, shards: Shards, columns: Columns, dataset: Any = None
) -> None:
    """Write `scores/<name>.parquet` of the run, one row a query.

    Beside the columns stand `file` where the data set has `files`, `x1 y1 x2 y2` where images are
    boxes in these, and `class_name` where the data module has `class_names`. Collective: rank 0
    gathers the columns one by one and writes.

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


def save_class_scores(
    trainer: Trainer, name: str, queries: Embedded, scores: Mapping[str, Float[Tensor, "n"]]
) -> None:
    """Write the means over each class and each group, `scores/<name>-classes.parquet`, `-groups`.

    Collective. Only of queries whose labels are classes, and that have groups.
    """
    of_classes = queries.labels.ndim == 1 and not queries.labels.is_floating_point()
    for kind, file, numbers in (
        ("class", "classes", queries.labels if of_classes else None),
        ("group", "groups", queries.groups),
    ):
        if numbers is None:
            continue
        of = average_by_class(queries, scores, numbers)
        if trainer.is_global_zero:
            rows: dict[str, Any] = {kind: of.classes, "queries": of.queries, **of.means}
            rows |= _names_of(trainer, kind, of.classes)
            write_scores(trainer, f"{name}-{file}", rows)


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
    files = _entries_of(dataset, getattr(dataset, "files", None), ids)
    return None if files is None else list(map(str, files))


def values_of(
    dataset: Any, values: Shaped[Tensor, "images ..."] | None, ids: Int[Tensor, "n"]
) -> Shaped[Tensor, "n ..."] | None:
    """What a data set knows of each image, on the device of the ids; None where it does not."""
    rows = _rows_of(dataset, ids)
    if values is None or rows is None or len(values) != len(dataset.indices):
        return None
    return values[rows].to(ids.device)


def _entries_of(
    dataset: Any, entries: Sequence[Any] | None, ids: Int[Tensor, "n"]
) -> list[Any] | None:
    """What a data set has of each image, of a list with an entry for each of its own."""
    rows = _rows_of(dataset, ids)
    if entries is None or rows is None or len(entries) != len(dataset.indices):
        return None
    return [entries[row] for row in rows.tolist()]


def _boxes_of(dataset: Any, ids: Int[Tensor, "n"]) -> dict[str, list[int | None]]:
    """The sides of the box that each image is; null where it is the whole of its file."""
    boxes = _entries_of(dataset, getattr(dataset, "boxes", None), ids)
    if boxes is None or not any(boxes):
        return {}
    whole = (None,) * len(SIDES)
    sides = zip(*(box or whole for box in boxes), strict=True)
    return dict(zip(SIDES, map(list, sides), strict=True))


def _rows_of(dataset: Any, ids: Int[Tensor, "n"]) -> Int[Tensor, "n"] | None:
    """Which of a data set's images have these indices; None where it does not say."""
    indices = getattr(dataset, "indices", None)
    if indices is None:
        return None
    ids = ids.cpu()
    known, order = torch.as_tensor(indices).sort()
    found = torch.searchsorted(known, ids).clamp(max=max(len(known) - 1, 0))
    if len(known) == 0 or (known[found] != ids).any():
        return None
    return order[found]


def _names(trainer: Trainer, dataset: Any, rows: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    files = files_of(dataset, rows["id"])
    found: dict[str, list[Any]] = {}
    if files is not None:
        found |= {"file": files, **_boxes_of(dataset, rows["id"])}
    for kind in ("class", "group"):
        if kind in rows:
            found |= _names_of(trainer, kind, rows[kind])
    return found


def _names_of(trainer: Trainer, kind: str, numbers: Int[Tensor, "n"]) -> dict[str, list[str]]:
    """The data module's names, where it has one for each number; a group may be −1."""
    data: Any = getattr(trainer, "datamodule", None)
    names = list(getattr(data, f"{kind}_names", ()))
    least = -1 if kind == "group" else 0
    if not len(numbers) or not least <= int(numbers.min()) <= int(numbers.max()) < len(names):
        return {}
    return {f"{kind}_name": [names[number] if number >= 0 else "" for number in numbers.tolist()]}
