"""Embeddings in the file that was asked for: Parquet, or NumPy's."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from ranklight.files.writing import replacing
from ranklight.serving.embedding_parts import EmbeddingParts
from ranklight.serving.embeddings_file import vectors_of, write_embeddings

if TYPE_CHECKING:
    import pyarrow


def write_as(
    output: Path,
    schema: "pyarrow.Schema",
    parts: EmbeddingParts,
    class_names: Sequence[str] | None = None,
) -> None:
    """Write all parts as one file, by the ending of its name.

    - `.parquet`: see `EmbeddingsFile`.
    - `.npy`: `n d`, rows of NaN where an image is broken.
    - `.npz`: `embedding` likewise, `file`, `error` ("" where there is none), and where there are
      `label` (as text), `scores`, `decided` (`n c`, True where a label is said) and `class_names`.

    Raises:
        OSError: It could not be written; names the file.
    """
    if output.suffix == ".parquet":
        write_embeddings(output, schema, parts.read())
    else:
        with replacing(output) as fresh, TemporaryDirectory(dir=parts.folder) as folder:
            vectors = _write_matrix(Path(folder) / "embedding.npy", schema, parts, "embedding")
            if output.suffix == ".npy":
                vectors.replace(fresh)
            else:
                scores = None
                if "scores" in schema.names:
                    scores = _write_matrix(Path(folder) / "scores.npy", schema, parts, "scores")
                _write_npz(fresh, vectors, scores, _texts(schema, parts, class_names))


def _write_matrix(file: Path, schema: "pyarrow.Schema", parts: EmbeddingParts, name: str) -> Path:
    """A column of vectors as `.npy`; not by a memory map, where a full disk is a crash."""
    shape = (parts.rows, schema.field(name).type.list_size)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts.read():
            stream.write(vectors_of(part, name)[0].astype("<f4").tobytes())
    return file


def _write_npz(
    file: Path, vectors: Path, scores: Path | None, others: dict[str, NDArray[Any]]
) -> None:
    with ZipFile(file, "w") as archive:
        archive.write(vectors, "embedding.npy")
        if scores is not None:
            archive.write(scores, "scores.npy")
        for name, array in others.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def _texts(
    schema: "pyarrow.Schema", parts: EmbeddingParts, class_names: Sequence[str] | None
) -> dict[str, NDArray[Any]]:
    """What a `.npz` has beside vectors."""
    arrays: dict[str, NDArray[Any]] = {}
    for name in ("file", "error", "label"):
        if name in schema.names:
            values = [value for part in parts.read() for value in part.column(name).to_pylist()]
            arrays[name] = np.array(["" if value is None else str(value) for value in values])
    if "scores" in schema.names:
        names = class_names or [
            str(number) for number in range(schema.field("scores").type.list_size)
        ]
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
