"""The whole images of an embeddings file in blocks: vectors, and what the file says of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from ranklight.serving.embeddings_file import EmbeddingsFile, vectors_of

if TYPE_CHECKING:
    import pyarrow

_LEFT_OUT = ("embedding", "error", "scores")


class Block(NamedTuple):
    """Some whole images.

    Args:
        table: Their file and further columns.
        vectors: One row each.
    """

    table: "pyarrow.Table"
    vectors: Float32[np.ndarray, "n d"]


class EmbeddingBlocks:
    """Those images of an embeddings file that have a vector, never in memory all at once.

    Args:
        path: A Parquet file that `ranklight embed` wrote.

    Attributes:
        about: What the embeddings are.
        dimensions: Of a vector.
        rows: Images with a vector; `broken` are those without one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file; names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = EmbeddingsFile(path)
        self.about = self._file.about
        self.dimensions = self._file.embedding_size
        self.broken = sum(
            block.column("embedding").null_count for block in self._file.blocks(["embedding"])
        )
        self.rows = self._file.rows - self.broken

    def check_any(self) -> None:
        """Refuse a file in which every image is broken.

        Raises:
            ValueError: It holds no vector; names it.
        """
        if not self.rows:
            raise ValueError(
                f"{self.path} holds no vector: {self.broken} images, all of them broken"
                if self.broken
                else f"{self.path} holds no vector, and no image: embed some"
            )

    def __iter__(self) -> Iterator[Block]:
        import pyarrow as pa

        columns = [name for name in self._file.columns if name not in _LEFT_OUT]
        for block in self._file.blocks([*columns, "embedding"]):
            vectors, there = vectors_of(block)
            table = block.select(columns).filter(pa.array(there))
            if table.num_rows:
                self._check_finite(vectors[there], table)
                yield Block(table, vectors[there])

    def take(self, positions: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n d"]:
        """The vectors of some images, by their ascending positions among `rows`."""
        parts, start = [np.empty((0, self.dimensions), np.float32)], 0
        for block in self:
            end = start + len(block.vectors)
            here = positions[np.searchsorted(positions, start) : np.searchsorted(positions, end)]
            parts.append(block.vectors[here - start])
            start = end
        return np.concatenate(parts)

    def _check_finite(self, vectors: Float32[np.ndarray, "n d"], table: "pyarrow.Table") -> None:
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            file = table["file"][int(wrong[0])]
            raise ValueError(f"{self.path}: the embedding of {file} is not finite: embed it again")
