"""The file that `ranklight embed` writes: one row an image, read and written in blocks."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from ranklight.files.parquet import readable
from ranklight.files.writing import replacing

if TYPE_CHECKING:
    import pyarrow

_KEY = b"ranklight"
ROWS = 65_536
_ADVICE = "embed the images again"


class About(NamedTuple):
    """What the embeddings of a file are.

    Args:
        encoder: Its hash: vectors of two encoders cannot be compared.
        run: The run that trained it.
        normalised: Whether all are unit vectors.
        threshold: The similarity S = 1 − ½ d² from which on two images are taken for the same
            class; None where none was fitted.
    """

    encoder: str
    run: str | None
    normalised: bool
    threshold: float | None


class EmbeddingsFile:
    """Embeddings of images in a Parquet file, as blocks that fit in memory.

    Columns: `file`, `embedding` (null where the image is broken), `error` (null where it is not),
    then where there are: `label`, `scores`, `decided`, and columns of the table it was made from.

    Args:
        path: The file.

    Attributes:
        about: What the embeddings are.
        rows: How many.
        embedding_size: d.
        columns: Their names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none that `ranklight embed` wrote.
    """

    def __init__(self, path: str | Path) -> None:
        from pyarrow import parquet, types

        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"there is no file of embeddings {self.path}")
        with readable(self.path, _ADVICE):
            self._file = parquet.ParquetFile(self.path)
        schema = self._file.schema_arrow
        said = (schema.metadata or {}).get(_KEY)
        if said is None or not {"file", "embedding", "error"} <= set(schema.names):
            raise ValueError(
                f"{self.path} must be a file that `ranklight embed` wrote, with the columns file, "
                f"embedding and error; it has {', '.join(schema.names)}"
            )
        kind = schema.field("embedding").type
        if not types.is_fixed_size_list(kind) or kind.value_type != "float":
            raise ValueError(
                f"{self.path} must have embeddings of one size, as `ranklight embed` writes them; "
                f"its column embedding holds {kind}"
            )
        try:
            self.about = About(**json.loads(said))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{self.path} does not say what its embeddings are, as this version of ranklight "
                f"writes it: {_ADVICE} ({error})"
            ) from error
        self.rows: int = self._file.metadata.num_rows
        self.embedding_size: int = kind.list_size
        self.columns: list[str] = schema.names

    def blocks(
        self, columns: Sequence[str] | None = None, rows: int = ROWS
    ) -> Iterator["pyarrow.Table"]:
        """The rows in order, so many at a time.

        Args:
            columns: Which; None: all.
            rows: In a block, at most.

        Raises:
            ValueError: The file is damaged; names it.
        """
        from pyarrow import Table

        batches = self._file.iter_batches(rows, columns=columns)
        while True:
            with readable(self.path, _ADVICE):
                batch = next(batches, None)
            if batch is None:
                return
            yield Table.from_batches([batch])


def vectors_of(
    block: "pyarrow.Table", name: str = "embedding"
) -> tuple[Float32[np.ndarray, "n d"], Bool[np.ndarray, "n"]]:
    """A column of vectors, NaN where an image is broken, and where none is."""
    column = block.column(name).combine_chunks()
    there = column.is_valid().to_numpy(zero_copy_only=False)
    vectors = np.full((len(column), column.type.list_size), np.nan, np.float32)
    # What is below nulls is left out by flatten().
    vectors[there] = column.flatten().to_numpy().reshape(-1, column.type.list_size)
    return vectors, there


def embeddings_schema(
    about: About,
    embedding_size: int,
    num_classes: int = 0,
    decided: bool = False,
    further: "pyarrow.Schema | None" = None,
) -> "pyarrow.Schema":
    """The columns of a file, with what they are in its header.

    Args:
        about: What the embeddings are.
        embedding_size: d.
        num_classes: Length of `scores`; 0: there are none.
        decided: Whether there are decided labels.
        further: Columns of the table that names the images, `label` among them.

    Raises:
        ValueError: One of them is called as one of ours.
    """
    import pyarrow as pa

    ours = [
        pa.field("file", pa.string()),
        pa.field("embedding", pa.list_(pa.float32(), embedding_size)),
        pa.field("error", pa.string()),
    ]
    if num_classes:
        ours.append(pa.field("scores", pa.list_(pa.float32(), num_classes)))
    if decided:
        ours.append(pa.field("decided", pa.list_(pa.string())))
    theirs = list(further or ())
    if twice := {field.name for field in ours} & {field.name for field in theirs}:
        raise ValueError(
            f"the table has a column {', '.join(sorted(twice))}, as the file of embeddings has: "
            "name it otherwise"
        )
    labels = [field for field in theirs if field.name == "label"]
    rest = [field for field in theirs if field.name != "label"]
    header = {_KEY: json.dumps(about._asdict())}
    return pa.schema([*ours[:3], *labels, *ours[3:], *rest], header)


def write_embeddings(
    path: Path, schema: "pyarrow.Schema", blocks: Iterable["pyarrow.Table"]
) -> None:
    """Write a file of embeddings, all or nothing.

    Raises:
        OSError: It could not be written; names the file.
    """
    from pyarrow import parquet

    with replacing(path) as fresh, parquet.ParquetWriter(fresh, schema) as writer:
        for block in blocks:
            writer.write_table(block)
