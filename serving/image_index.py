"""An index of images on disk: which of them are nearest to a vector, by name and similarity."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ranklight.datamodules.reading.pictures import Box
from ranklight.files.parquet import readable
from ranklight.search.vector_index import Layout, VectorIndex
from ranklight.serving.boxes import boxes_of
from ranklight.serving.index_directory import FACTS, FILES, VECTORS, read_facts

_TRIES = 3


class ImageIndex:
    """Images of a directory that `ranklight index` made, by their vectors.

    Args:
        vectors: Row i is the vector of image i.
        files: Arrow table: row i has the `file` of image i and what else its table says.
        facts: What `index.json` says.

    Attributes:
        encoder: Hash of the encoder whose vectors these are.
        dimensions: Of a vector of that encoder.
        threshold: Similarity above which two images are the same; None where it is not known.
        run: The run of the encoder, None where it is not known.
    """

    def __init__(self, vectors: VectorIndex, files: Any, facts: dict[str, Any]) -> None:
        self.vectors = vectors
        self.files = files
        self.facts = facts
        self.encoder: str | None = facts["encoder"]
        self.dimensions: int = facts["dimensions"]
        self.threshold: float | None = facts["threshold"]
        self.run: str | None = facts["run"]

    @classmethod
    def open(cls, directory: str | Path, effort: int | None = None) -> "ImageIndex":
        """Read an index.

        Args:
            directory: Of the index.
            effort: How far approximate indices search; None: as they were built.

        Raises:
            FileNotFoundError: There is none.
            ValueError: Its files are damaged, or of different lengths; or effort is none.
        """
        if effort is not None and effort < 1:
            raise ValueError(
                f"an approximate index searches with an effort of 1 or more; got {effort}"
            )
        for _ in range(_TRIES):
            facts, folder = read_facts(Path(directory))
            try:
                return cls._read(folder, facts, effort)
            except (OSError, ValueError):
                # A newer version took its place, and this one was removed while it was read.
                if folder.is_dir() and read_facts(Path(directory))[1] == folder:
                    raise
        raise ValueError(f"the index {directory} has lost its files: build it again")

    @classmethod
    def _read(cls, folder: Path, facts: dict[str, Any], effort: int | None) -> "ImageIndex":
        from pyarrow import parquet

        layout = layout_of(facts, folder.parent)
        if effort is not None:
            layout = layout._replace(effort=effort)
        vectors = VectorIndex.read(folder / VECTORS, layout, facts["normalised"])
        with readable(folder / FILES, "build the index again"):
            files = parquet.read_table(folder / FILES)
        if len(vectors) != files.num_rows:
            raise ValueError(
                f"{folder} has {len(vectors)} vectors and {files.num_rows} files, which must be as "
                "many: build the index again"
            )
        return cls(vectors, files, facts)

    def __len__(self) -> int:
        return len(self.vectors)

    def search(
        self,
        vectors: Float[np.ndarray, "n d"],
        k: int,
        allowed: Bool[np.ndarray, " m"] | None = None,
    ) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
        """Similarities S = 1 − ½ d² and rows of the k nearest images, nearest first.

        Args:
            vectors: Of the encoder that made the index.
            k: How many.
            allowed: True for the images that may be found; all by default.

        Returns:
            Minus infinity and row −1 where fewer were found.

        Raises:
            ValueError: k is not 1 to the size of the index, or vectors are not finite or of another
                size.
        """
        self.check_count(k)
        if vectors.shape[1] != self.dimensions:
            raise ValueError(
                f"the index holds vectors of {self.dimensions} dimensions; got {vectors.shape[1]}"
            )
        if not np.isfinite(vectors).all():
            raise ValueError("a vector to search for must be finite, and one is not")
        distance, rows = self.vectors.nearest(vectors, k, allowed)
        return 1 - distance / 2, rows

    def search_rows(
        self, rows: Sequence[int], k: int, allowed: Bool[np.ndarray, " m"] | None = None
    ) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
        """The same for images of the index, each without itself.

        Raises:
            ValueError: There is no such row, or k is not 1 to the number of others.
        """
        if wrong := [row for row in rows if not 0 <= row < len(self)]:
            raise ValueError(f"rows of the index are 0 to {len(self) - 1}, not {wrong[0]}")
        if not 1 <= k < len(self):
            raise ValueError(
                f"an image of {len(self):,} has {len(self) - 1:,} others to find, not {k:,}"
            )
        own = np.asarray(rows, dtype=np.int64)
        vectors = self.vectors.vectors(own)
        distance, found = self.vectors.nearest(vectors, k + 1, allowed)
        others = found != own[:, None]
        # Where it is not among the nearest, exact copies before it are: the last goes.
        others[others.all(axis=1), -1] = False
        shape = (len(own), k)
        return 1 - distance[others].reshape(shape) / 2, found[others].reshape(shape)

    def check_count(self, k: int) -> None:
        """Refuse to find more images than there are.

        Raises:
            ValueError: k is not 1 to the size of the index.
        """
        if not 1 <= k <= len(self):
            raise ValueError(
                f"an index of {len(self):,} images finds 1 to {len(self):,}, not {k:,}"
            )

    def check_encoder(self, encoder: str | None, whose: str) -> None:
        """Refuse vectors of another model.

        Args:
            encoder: The hash of the encoder that makes, or made, them.
            whose: What is compared, for the message.

        Raises:
            ValueError: It is another encoder.
        """
        if encoder != self.encoder:
            raise ValueError(
                f"the index is of the encoder {self.encoder}, {whose} of {encoder}: vectors of two "
                "models cannot be compared; build an index with this one"
            )

    def check_root(self, files: Iterable[str], root: Path | None = None) -> None:
        """Refuse relative names of files that start in another folder than those of the index.

        Args:
            files: Their names.
            root: Where they start; the current folder by default.

        Raises:
            ValueError: A name is relative, and means another file here.
        """
        own, theirs = Path(self.facts["root"]), (root or Path()).resolve()
        if own != theirs and (relative := [file for file in files if not os.path.isabs(file)]):
            raise ValueError(
                f"files of the index are named from {own}, and {relative[0]} from {theirs}: go "
                "there, or name files by their whole path"
            )

    def path(self, row: int) -> Path:
        """Where the file of an image lies."""
        return Path(self.facts["root"], self.files["file"][row].as_py())

    def paths_like(self, path: Path) -> list[Path]:
        """Where the files of images lie that are called as this one is, in any folder."""
        from pyarrow import compute

        alike = compute.ends_with(self.files["file"], path.name).to_numpy()
        return [self.path(int(row)) for row in np.flatnonzero(alike)]

    def box(self, row: int) -> Box | None:
        """The part of its file that an image is; None for the whole."""
        return boxes_of(self.files.slice(row, 1))[0]


def layout_of(facts: dict[str, Any], directory: Path) -> Layout:
    """What an index keeps of a vector, and how it looks for it.

    Raises:
        ValueError: Its facts are of another version of ranklight, or damaged.
    """
    try:
        return Layout(**facts["layout"])
    except TypeError as error:
        raise ValueError(
            f"{directory / FACTS} has a layout that this version of ranklight does not know, "
            f"{facts['layout']}: build the index again"
        ) from error
