"""The vectors of an embeddings file in blocks, each with what the file says of its images."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int

_NOT_OF_IMAGES = ("embedding", "error")
_ROWS = 1 << 16


class Block(NamedTuple):
    """Some whole images.

    Args:
        table: Their file and further columns, an Arrow table.
        vectors: One row each.
    """

    table: Any
    vectors: Float32[np.ndarray, "n d"]


class EmbeddingBlocks:
    """A Parquet file that `ranklight embed` wrote, never in memory as a whole.

    Args:
        path: The file.

    Attributes:
        dimensions: Of a vector.
        rows: Images with a vector; `broken` are those without one.
        encoder: Hash of the encoder that made them.
        normalised: Whether vectors have length 1.
        threshold: Similarity above which two images are the same; None where it is not known.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, or holds no vector; names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise FileNotFoundError(
                f"there is no embeddings file {path}: `ranklight embed` makes one"
            )
        self._file = _opened(path)
        schema = self._file.schema_arrow
        self.dimensions = schema.field("embedding").type.list_size
        told: dict[str, Any] = json.loads((schema.metadata or {}).get(b"ranklight", b"{}"))
        self.encoder: str | None = told.get("encoder")
        self.normalised: bool = told.get("normalised", False)
        self.threshold: float | None = told.get("threshold")
        self.columns = [name for name in schema.names if name not in _NOT_OF_IMAGES]
        self.broken = sum(
            block.column("embedding").null_count
            for block in self._file.iter_batches(_ROWS, columns=["embedding"])
        )
        self.rows = self._file.metadata.num_rows - self.broken
        if self.rows == 0:
            raise ValueError(f"{path} holds no vector: {self.broken} images, all of them broken")

    def __iter__(self) -> Iterator[Block]:
        import pyarrow as pa

        for batch in self._file.iter_batches(_ROWS, columns=[*self.columns, "embedding"]):
            whole = pa.Table.from_batches([batch])
            whole = whole.filter(whole["embedding"].is_valid())
            if whole.num_rows:
                flat = whole["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
                vectors = np.array(flat, np.float32).reshape(-1, self.dimensions)
                self._check_finite(vectors, whole)
                yield Block(whole.drop_columns(["embedding"]), vectors)

    def take(self, positions: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d"]:
        """The vectors of some images, by their ascending positions among `rows`."""
        parts, start = [np.empty((0, self.dimensions), np.float32)], 0
        for block in self:
            end = start + len(block.vectors)
            here = positions[np.searchsorted(positions, start) : np.searchsorted(positions, end)]
            parts.append(block.vectors[here - start])
            start = end
        return np.concatenate(parts)

    def _check_finite(self, vectors: Float32[np.ndarray, "n d"], table: Any) -> None:
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            file = table["file"][int(wrong[0])]
            raise ValueError(f"{self.path}: the embedding of {file} is not finite: embed it again")


def _opened(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path, memory_map=True)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no whole Parquet file: {error}") from error
    kinds = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
    if "file" not in kinds or not pa.types.is_fixed_size_list(kinds.get("embedding", pa.null())):
        raise ValueError(
            f"{path} must have the columns file and embedding (lists of one length), as "
            f"`ranklight embed` writes them; it has {', '.join(kinds) or 'none'}"
        )
    return file
