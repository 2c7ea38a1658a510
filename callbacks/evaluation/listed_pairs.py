"""Pairs of images that a file or the data module lists."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ranklight.datamodules.reading.pair_tables import read_pair_table


class ListedPairs(NamedTuple):
    """Pairs of images by the ids that batches give them.

    Args:
        ids: Of both images of each pair.
        same: Whether they show the same.
        folds: The fold of each pair, for accuracy by folds; None without folds.
    """

    ids: Int[Tensor, "p 2"]
    same: Bool[Tensor, "p"]
    folds: Int[Tensor, "p"] | None = None


def pairs_of_file(file: str, datasets: Sequence[Any]) -> ListedPairs:
    """The pairs of a file, whose names are looked up in the data: see `read_pair_table`.

    Args:
        file: Its path.
        datasets: The data set of both images, or that of the first and that of the second.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A name is that of no image, or of several; names the pair.
    """
    table = read_pair_table(Path(file))
    sides = ((table.first, datasets[0]), (table.second, datasets[-1]))
    ids = [_ids_of(names, dataset, file) for names, dataset in sides]
    folds = None if table.folds is None else torch.from_numpy(table.folds)
    return ListedPairs(torch.stack(ids, 1), torch.from_numpy(table.same), folds)


def _ids_of(names: Sequence[str], dataset: Any, file: str) -> Int[Tensor, "p"]:
    ends = [PurePath(name).parts for name in names]
    known, ambiguous = _known(dataset, set(ends))
    ids = []
    for pair, (name, end) in enumerate(zip(names, ends, strict=True), start=1):
        if end in ambiguous or end not in known:
            problem = "the end of several files'" if end in ambiguous else "not one of the data's"
            raise ValueError(
                f"{file}, pair {pair}: {name} must be one image, by the end of its path or by its "
                f"index; it is {problem}"
            )
        ids.append(known[end])
    return torch.tensor(ids)


def _known(
    dataset: Any, wanted: set[tuple[str, ...]]
) -> tuple[dict[tuple[str, ...], int], set[tuple[str, ...]]]:
    """The id of each wanted end of a path, or index; and the ends that several files have."""
    indices = torch.as_tensor(getattr(dataset, "indices", ())).tolist()
    files = [PurePath(file).parts for file in getattr(dataset, "files", ())]
    known = {end: int(end[0]) for end in wanted & {(str(index),) for index in indices}}
    depths, ambiguous, found = {len(end) for end in wanted}, set(), {}
    for parts, index in zip(files, indices, strict=False):
        for end in {parts[-depth:] for depth in depths} & wanted:
            if end in found:
                ambiguous.add(end)
            found[end] = index
    return known | found, ambiguous
