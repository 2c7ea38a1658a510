"""Building an index from an embeddings file, block after block; adding to it, removing from it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ranklight import __version__
from ranklight.files.writing import naming
from ranklight.running.file_progress import file_progress
from ranklight.search.vector_index import (
    Layout,
    VectorIndex,
    check_layout,
    rows_to_learn_from,
)
from ranklight.serving.boxes import shown_in
from ranklight.serving.embedding_blocks import EmbeddingBlocks
from ranklight.serving.image_index import ImageIndex
from ranklight.serving.index_directory import FILES, VECTORS, new_version, read_facts
from ranklight.serving.index_recall import Measured, ask, draw, measure, measured_against


def build_index(
    source: EmbeddingBlocks,
    directory: Path,
    layout: Layout | None = None,
    run: str | None = None,
    root: Path | None = None,
) -> list[Measured]:
    """Make an index, or replace the one that is there when the new one is whole.

    Args:
        source: The embeddings.
        directory: Of the index.
        layout: What is kept and how it is found; exact by default.
        run: Whose encoder made the embeddings, to be loaded again for queries.
        root: Where relative file names start; the current folder by default.

    Returns:
        Size, recall and time of exact search and of the index.

    Raises:
        FileExistsError: Another process writes there, or the directory holds other things.
        ValueError: The layout does not fit the embeddings.
        OSError: Something could not be written; the index from before is untouched.
    """
    layout = layout or Layout()
    source.check_any()
    check_layout(layout, source.dimensions, source.rows)
    with new_version(directory) as (folder, facts):
        vectors = learnt_index(source, layout)
        _add_all(source, vectors, folder / FILES)
        _write(vectors, folder / VECTORS)
        measured = measure(vectors, folder / VECTORS, source)
        facts |= {
            "ranklight": __version__,
            "encoder": source.about.encoder,
            "run": run,
            "root": str((root or Path()).resolve()),
            "rows": len(vectors),
            "dimensions": source.dimensions,
            "normalised": source.about.normalised,
            "similarity": "1 - d^2 / 2",
            "threshold": source.about.threshold,
            "layout": layout._asdict(),
            "measured": [line._asdict() for line in measured],
        }
    return measured


def learnt_index(source: EmbeddingBlocks, layout: Layout) -> VectorIndex:
    """An empty index that has learnt from a random part of the embeddings."""
    sample = source.take(draw(source.rows, rows_to_learn_from(layout, source.rows)))
    return VectorIndex.learn(layout, sample, source.rows, source.about.normalised)


def compare_layouts(source: EmbeddingBlocks, layouts: Iterable[Layout]) -> Iterator[Measured]:
    """What each layout would cost and find, one after the other in memory; nothing is kept."""
    source.check_any()
    asked = ask(source)
    for layout in layouts:
        index = learnt_index(source, layout)
        for block in source:
            index.add(block.vectors)
        with TemporaryDirectory() as folder:
            file = Path(folder, VECTORS)
            _write(index, file)
            yield measured_against(asked, index, file.stat().st_size / len(index))


def add_images(
    source: EmbeddingBlocks, directory: Path, root: Path | None = None
) -> tuple[int, int]:
    """Add the images of an embeddings file; those that are in the index stay as they are.

    Cells and codes are those that were learnt when it was built.

    Args:
        source: The embeddings.
        directory: Of the index.
        root: Where relative file names start; the current folder by default.

    Returns:
        How many were added, and how many were there.

    Raises:
        FileNotFoundError: There is no index.
        ValueError: The embeddings are of another encoder, or files are named from another folder
            than those of the index.
        OSError: As of `build_index`.
    """
    import pyarrow as pa

    read_facts(directory)
    with new_version(directory) as (folder, facts):
        index = ImageIndex.open(directory)
        index.check_encoder(source.about.encoder, f"the embeddings {source.path} are")
        here, tables = set(shown_in(index.files)), [index.files]
        for block in source:
            shown = shown_in(block.table)
            index.check_root([file for file, _ in shown], root)
            fresh = np.array([image not in here for image in shown])
            index.vectors.add(block.vectors[fresh])
            tables.append(block.table.filter(pa.array(fresh)))
        files = pa.concat_tables(tables, promote_options="default")
        _write_again(index, files, folder, facts)
    added = files.num_rows - index.files.num_rows
    return added, source.rows - added


def remove_images(files: Sequence[str], directory: Path) -> int:
    """Remove the images of these files; cells and codes stay as they were learnt.

    Returns:
        How many images were removed.

    Raises:
        FileNotFoundError: There is no index.
        ValueError: A file is not in the index, or all of them would go.
        OSError: As of `build_index`.
    """
    import pyarrow as pa

    read_facts(directory)
    with new_version(directory) as (folder, facts):
        index = ImageIndex.open(directory)
        names = index.files["file"].to_pylist()
        if missing := set(files) - set(names):
            raise ValueError(
                f"{len(missing)} of {len(set(files))} files to remove are not in the index, first "
                f"{min(missing)}; files are named as in its table, for example {names[0]}"
            )
        removed = np.isin(np.array(names, dtype=object), list(files))
        if removed.all():
            raise ValueError("no image would be left: remove the directory of the index instead")
        index.vectors.remove(np.flatnonzero(removed))
        _write_again(index, index.files.filter(pa.array(~removed)), folder, facts)
    return int(removed.sum())


def _add_all(source: EmbeddingBlocks, vectors: VectorIndex, files: Path) -> None:
    from pyarrow import parquet

    schema = next(iter(source)).table.schema
    with (
        naming(files),
        parquet.ParquetWriter(files, schema) as writer,
        file_progress("indexing", source.rows) as advance,
    ):
        for block in source:
            vectors.add(block.vectors)
            writer.write_table(block.table)
            advance(len(block.vectors))


def _write_again(index: ImageIndex, files: Any, folder: Path, facts: dict[str, Any]) -> None:
    from pyarrow import parquet

    with naming(folder):
        parquet.write_table(files, folder / FILES)
    _write(index.vectors, folder / VECTORS)
    facts |= {**index.facts, "rows": len(index.vectors)}


def _write(vectors: VectorIndex, path: Path) -> None:
    with naming(path):
        vectors.write(path)
