"""The scores of the queries of an evaluation, as the run has kept them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from ranklight.datamodules.reading.boxes import SIDES
from ranklight.files.parquet import readable
from ranklight.metric_directions import direction_of
from ranklight.serving.boxes import boxes_in

_KNOWN = {"id", "file", *SIDES, "class", "class_name", "group", "group_name"}
_FIRST = ("recall", "label_distance", "example_ap", "exact_match")
_BESIDE = ("oracle", "chance", "trapezoid")


class QueryScores:
    """A row a query, as callbacks of evaluation write them.

    Args:
        file: `scores/<stage>.parquet` of a run.
        score: The column by which queries are compared; by default Recall@K of the smallest K,
            then label distance, then an image's average precision, then whatever comes first.

    Attributes:
        ids: The index of each image in the data.
        files: Their files; None where the data has none.
        boxes: The part of each file that is the image; None for the whole.
        classes: The name of each query's class; None where labels are no classes.
        score: The column that counts.
        columns: Every column of scores.

    Raises:
        ValueError: The file is no such table, or has no such column; names those it has.
    """

    def __init__(self, file: Path, score: str | None = None) -> None:
        rows = read_columns(file, "id")
        self.stage = file.stem
        self.ids: Int[np.ndarray, "n"] = _numbers(rows["id"], np.int64, "id", file)
        self.files: list[str] | None = rows.get("file")
        self.boxes = boxes_in(rows, len(self.ids))
        named = rows.get("class_name", rows.get("class"))
        self.classes = None if named is None else [str(name) for name in named]
        self.columns: dict[str, Float[np.ndarray, "n"]] = {
            name: _numbers(values, np.float64, name, file)
            for name, values in rows.items()
            if name not in _KNOWN
        }
        self.score = _chosen(score, list(self.columns), file)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def values(self) -> Float[np.ndarray, "n"]:
        """The column that counts; NaN for a query that nothing is relevant for."""
        return self.columns[self.score]

    @property
    def larger_is_better(self) -> bool:
        """Of the column that counts."""
        return direction_of(self.score) != "min"

    @property
    def counted(self) -> Bool[np.ndarray, "n"]:
        """Which queries have a score."""
        finite: NDArray[np.bool_] = np.isfinite(self.values)
        return finite

    def name(self, row: int) -> str:
        """A query's file, and the box in it, or its index in the data."""
        if self.files is None:
            return f"image {self.ids[row]}"
        box = self.boxes[row]
        return (
            self.files[row] if box is None else f"{self.files[row]}, box {' '.join(map(str, box))}"
        )

    def worst_first(self) -> Int[np.ndarray, "counted"]:
        """The queries that have a score; where it is equal, the other scores decide in turn."""
        keys = [self.ids.astype(np.float64)]
        others = [name for name in self.columns if name != self.score and direction_of(name)]
        for name in [*reversed(others), self.score]:
            sign = -1.0 if direction_of(name) == "min" else 1.0
            keys.append(sign * np.nan_to_num(self.columns[name]))
        order: NDArray[np.int64] = np.lexsort(keys)
        counted: NDArray[np.int64] = order[self.counted[order]]
        return counted


def read_columns(file: Path, *needed: str) -> dict[str, list[Any]]:
    """The columns of a table of scores that a run has written.

    Raises:
        ValueError: It is damaged, or lacks a column that is needed; names the file.
    """
    from pyarrow import parquet

    with readable(file, "test the run again"):
        columns: dict[str, list[Any]] = parquet.read_table(file).to_pydict()
    if missing := [name for name in needed if name not in columns]:
        raise ValueError(
            f"{file} must have the column {missing[0]}, as a test writes it; it has "
            f"{', '.join(columns)}"
        )
    return columns


def _numbers(values: list[Any], kind: type[np.generic], name: str, file: Path) -> NDArray[Any]:
    try:
        return np.asarray(values, dtype=kind)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} must have numbers in the column {name} ({error})") from error


def _chosen(score: str | None, columns: Sequence[str], file: Path) -> str:
    if not columns:
        raise ValueError(f"{file} holds no scores, only {', '.join(sorted(_KNOWN))}")
    if score is not None and score not in columns:
        raise ValueError(f"{file} has no score {score}; it has {', '.join(columns)}")
    own = [name for name in columns if name.rpartition("/")[2] not in _BESIDE]
    for kind in _FIRST:
        for name in own:
            if name.rpartition("/")[2].split("@")[0] == kind:
                return score or name
    return score or own[0]
