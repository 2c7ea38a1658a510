"""Embeddings in the file that was asked for: Parquet, or NumPy's."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranklight.running.writing import replacing
from ranklight.serving.embedding_parts import EmbeddingParts
from ranklight.serving.embeddings_file import vectors_of, write_embeddings

if TYPE_CHECKING:
    import pyarrow


def write_as(
    output: Path,
    schema: "pyarrow.Schema",
    parts: EmbeddingParts,
    class_names: Sequence[str] | None = None,
) -> list[str]:
    """Write all parts as one file, by the ending of its name; gives what was wrong with images.

    - `.parquet`: see `EmbeddingsFile`.
    - `.npy`: `n d`, rows of NaN where an image is broken.
    - `.npz`: `embedding` likewise, `file`, `error` ("" where there is none), and where there are
      `label`, `scores`, `decided` (`n c`, True where a label is said) and `class_names`.

    Raises:
        OSError: It could not be written; names the file.
    """
    if output.suffix == ".parquet":
        write_embeddings(output, schema, parts.read())
    else:
        with TemporaryDirectory(dir=parts.folder) as folder:
            vectors = _matrix(Path(folder) / "embedding.npy", schema, parts, "embedding")
            with replacing(output) as fresh:
                if output.suffix == ".npy":
                    vectors.flush()
                    Path(folder, "embedding.npy").replace(fresh)
                else:
                    others = _others(Path(folder), schema, parts, class_names)
                    with fresh.open("wb") as file:
                        np.savez(file, embedding=vectors, **others)
    return [
        error for part in parts.read() for error in part.column("error").drop_null().to_pylist()
    ]


def _matrix(
    file: Path, schema: "pyarrow.Schema", parts: EmbeddingParts, name: str
) -> "np.memmap[Any, Any]":
    """A column of vectors as an array on disk."""
    shape = (parts.rows, schema.field(name).type.list_size)
    matrix = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    row = 0
    for part in parts.read():
        matrix[row : row + len(part)] = vectors_of(part, name)[0]
        row += len(part)
    return matrix


def _others(
    folder: Path,
    schema: "pyarrow.Schema",
    parts: EmbeddingParts,
    class_names: Sequence[str] | None,
) -> dict[str, NDArray[Any]]:
    """What a .npz has beside the vectors."""
    texts = [name for name in ("file", "error", "label") if name in schema.names]
    arrays: dict[str, NDArray[Any]] = {}
    for name in texts:
        values = [value for part in parts.read() for value in part.column(name).to_pylist()]
        known = any(isinstance(value, str) or value is None for value in values)
        arrays[name] = (
            np.array(["" if value is None else str(value) for value in values])
            if (known)
            else np.array(values)
        )
    if "scores" in schema.names:
        arrays["scores"] = _matrix(folder / "scores.npy", schema, parts, "scores")
        names = list(class_names or map(str, range(arrays["scores"].shape[1])))
        arrays["class_names"] = np.array(names)
        if "decided" in schema.names:
            arrays["decided"] = _decided(parts, names)
    return arrays


def _decided(parts: EmbeddingParts, names: Sequence[str]) -> NDArray[np.bool_]:
    number = {name: column for column, name in enumerate(names)}
    decided = np.zeros((parts.rows, len(names)), np.bool_)
    every = (said for part in parts.read() for said in part.column("decided").to_pylist())
    for row, said in enumerate(every):
        decided[row, [number[name] for name in said or ()]] = True
    return decided
