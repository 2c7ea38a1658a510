"""The vectors of images from the files that `ranklight embed` wrote, with what is known of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

_UNSCORED = "not scored"


class Vectors:
    """A row an image; images that could not be read are left out.

    Attributes:
        files: As they are named in the files of vectors.
        matrix: The vectors, as they are stored.
        classes: The class of each image; None where labels are no classes.
        labels: The set of labels of each image; None where labels are no sets.
        decided: The set of labels that the model gave; None where it gives none.
        splits: The split of each image; None where nobody says it.
        sources: What the files say of how they were made, by their paths.
        broken: Images that could not be read, with the reason.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        tables = [_read(file) for file in files]
        self.sources = dict(zip(map(str, files), (_source(table) for table in tables), strict=True))
        rows = _joined(files, tables)
        columns = rows.drop_columns(["embedding"]).to_pydict()
        self.broken = dict(
            _broken(name, error)
            for name, error, vector in zip(
                columns["file"],
                columns.get("error", [None] * len(rows)),
                rows["embedding"].is_valid().to_pylist(),
                strict=True,
            )
            if not vector
        )
        whole = rows["embedding"].is_valid().to_numpy()
        kept = {
            name: [value for value, there in zip(values, whole, strict=True) if there]
            for name, values in columns.items()
        }
        self.files: list[str] = kept["file"]
        self.matrix: Float[np.ndarray, "n d"] = _matrix(rows["embedding"], len(self.files))
        self.classes = _classes(kept.get("label"))
        self.labels = _sets(kept.get("label"))
        self.decided = _sets(kept.get("decided"))
        self.splits: list[str] | None = _names(kept.get("split"))

    def __len__(self) -> int:
        return len(self.files)

    def take_splits(self, scored: dict[str, set[str]], keys: Sequence[str]) -> None:
        """Where no table says the splits, take them from the files that evaluations scored.

        Args:
            scored: The files of each split's queries.
            keys: What to look for there, one an image.
        """
        if self.splits is not None or not any(scored.values()):
            return
        of = {file: split for split, files in scored.items() for file in files}
        found = [of.get(key, _UNSCORED) for key in keys]
        if set(found) != {_UNSCORED}:
            self.splits = found

    def rows_of(self, split: str) -> Int[np.ndarray, "rows"]:
        """The images of a split; all where splits are not known."""
        if self.splits is None:
            return np.arange(len(self))
        return np.flatnonzero(np.array(self.splits) == split)


def _read(file: Path) -> Any:
    from pyarrow import ArrowInvalid, parquet

    if not file.exists():
        raise FileNotFoundError(
            f"there is no file of vectors {file}: ranklight embed RUN IMAGES --output {file} "
            "makes it"
        )
    try:
        table = parquet.read_table(file)
    except ArrowInvalid as error:
        raise ValueError(f"{file} must be a Parquet file of ranklight embed: {error}") from error
    if not {"file", "embedding"} <= set(table.column_names):
        raise ValueError(
            f"{file} must have the columns file and embedding, as ranklight embed writes them; it "
            f"has {', '.join(table.column_names)}"
        )
    return table


def _joined(files: Sequence[Path], tables: Sequence[Any]) -> Any:
    from pyarrow import concat_tables

    widths = {table.schema.field("embedding").type.list_size for table in tables}
    if len(widths) > 1:
        raise ValueError(
            f"vectors of one model are of one length; {', '.join(map(str, files))} have "
            f"{' and '.join(map(str, sorted(widths)))} dimensions"
        )
    plain = [table.replace_schema_metadata(None) for table in tables]
    return concat_tables(plain, promote_options="permissive")


def _source(table: Any) -> dict[str, Any]:
    said = (table.schema.metadata or {}).get(b"ranklight")
    return {} if said is None else dict(json.loads(said))


def _matrix(column: Any, count: int) -> Float[np.ndarray, "n d"]:
    parts = [np.asarray(chunk.flatten(), dtype=np.float32) for chunk in column.chunks]
    flat = np.concatenate(parts) if parts else np.empty(0, np.float32)
    return flat.reshape(count, -1)


def _broken(name: str, error: str | None) -> tuple[str, str]:
    return name, error or "no reason is given"


def _names(values: list[Any] | None) -> list[str] | None:
    known = values is not None and all(value is not None for value in values)
    return [str(value) for value in values] if values and known else None


def _classes(labels: list[Any] | None) -> list[str] | None:
    """Labels that are one name or one number each."""
    return _names(labels) if labels and all(isinstance(of, str | int) for of in labels) else None


def _sets(labels: list[Any] | None) -> list[set[str]] | None:
    """Labels that are lists of names each."""
    if not labels or not all(isinstance(of, list) for of in labels):
        return None
    if not all(isinstance(name, str) for of in labels for name in of):
        return None
    return [set(of) for of in labels]
