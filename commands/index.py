"""`ranklight index`: images by their vectors, to be searched; added to and removed from later."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ranklight.commands.embed import check_numbers

if TYPE_CHECKING:
    from ranklight.search.vector_index import Kept, Kind, Layout
    from ranklight.serving.embedding_blocks import EmbeddingBlocks
    from ranklight.serving.index_recall import Measured

_KINDS: tuple["Kind", ...] = ("Exact", "IVFFlat", "IVFPQ", "HNSW")
_KEPT: tuple["Kept", ...] = ("float32", "half", "int8", "binary")


def main(arguments: Sequence[str]) -> None:
    """Index the images that the command line names."""
    given = _parser().parse_args(arguments)
    _check(given)
    if given.remove is not None:
        from ranklight.serving.index_building import remove_images

        removed = remove_images(given.remove, Path(given.output))
        print(f"{given.output}: {removed:,} images removed")
    elif given.compare:
        from ranklight.serving.index_building import compare_layouts

        source = _stored(given)
        _print(compare_layouts(source, _layouts_that_fit(given, source)), given.embeddings)
    elif given.embeddings is not None:
        source = _stored(given)
        _check_run(given, source)
        _index(given, source)
    else:
        _embed_and_index(given)


def _embed_and_index(given: Namespace) -> None:
    from ranklight.search.vector_index import check_layout
    from ranklight.serving.boxes import shown_in
    from ranklight.serving.image_index import ImageIndex
    from ranklight.serving.image_indexing import ToEmbed, embedded, without
    from ranklight.serving.image_lists import list_images
    from ranklight.serving.index_directory import check_is_for_an_index
    from ranklight.serving.trained_model import load

    images, directory = list_images(given.images, given.image, given.root), Path(given.output)
    check_is_for_an_index(directory)
    model = load(given.run)
    if given.add:
        index = ImageIndex.open(directory)
        index.check_encoder(model.encoder_hash, f"the run {given.run} is")
        index.check_root(images.files)
        there, images = len(images.files), without(images, set(shown_in(index.files)))
        print(f"{there - len(images.files):,} images are in the index already")
        if not images.files:
            return
    else:
        check_layout(_layout(given), model.embedding_size, len(images.files))
    what = ToEmbed(given.run, images, directory, given.batch_size, given.workers)
    with embedded(model, what) as source:
        if not (source.rows or given.add):
            raise ValueError(
                f"none of the {source.broken:,} images of {images.source} can be read: "
                "`ranklight embed` says of each why"
            )
        _index(given, source)


def _index(given: Namespace, source: "EmbeddingBlocks") -> None:
    from ranklight.serving.index_building import add_images, build_index

    directory = Path(given.output)
    root = Path(given.root) if given.embeddings and given.root else None
    if given.add:
        added, there = add_images(source, directory, root)
        print(f"{directory}: {added:,} images added, {there:,} were there")
    else:
        run = None if given.run is None else str(Path(given.run).resolve())
        measured = build_index(source, directory, _layout(given), run, root)
        _print(measured, f"{directory}: {source.rows:,} images")
    if source.broken:
        print(f"{source.broken:,} images could not be read and are left out")


def _layout(given: Namespace) -> "Layout":
    from ranklight.search.vector_index import Layout

    return Layout(given.kind, given.vectors, given.prefix, given.pca, given.effort)


def _usual_layouts(given: Namespace) -> list["Layout"]:
    """Those that a table compares, with the prefix, components and effort that are asked for."""
    from ranklight.search.vector_index import Layout

    as_asked = {"prefix": given.prefix, "pca": given.pca, "effort": given.effort}
    exact = [Layout()] if given.prefix or given.pca else []
    kept = [Layout("Exact", kept, **as_asked) for kept in _KEPT]
    return [*exact, *kept, *(Layout(kind, **as_asked) for kind in _KINDS[1:])]


def _layouts_that_fit(given: Namespace, source: "EmbeddingBlocks") -> Iterator["Layout"]:
    """Those that so many vectors of this size can be kept in; of the others it is said why not."""
    from ranklight.search.vector_index import Layout, check_layout

    source.check_any()
    check_layout(
        Layout("Exact", "float32", given.prefix, given.pca), source.dimensions, source.rows
    )
    for layout in _usual_layouts(given):
        try:
            check_layout(layout, source.dimensions, source.rows)
        except ValueError as error:
            print(f"left out: {layout}: {error}")
        else:
            yield layout


def _check_run(given: Namespace, source: "EmbeddingBlocks") -> None:
    """Refuse a run that did not make the embeddings: nothing could be searched for by it."""
    if given.run is None:
        return
    from ranklight.serving.trained_model import load

    encoder = load(given.run, "cpu").encoder_hash
    if encoder != source.about.encoder:
        raise ValueError(
            f"the embeddings {source.path} are of the encoder {source.about.encoder}, the run "
            f"{given.run} is of {encoder}: name the run that made them, or none"
        )


def _check_layout_of(given: Namespace) -> None:
    """Refuse another kind of index than the one that is added to."""
    from ranklight.search.vector_index import Layout
    from ranklight.serving.image_index import layout_of
    from ranklight.serving.index_directory import read_facts

    directory = Path(given.output)
    there = layout_of(read_facts(directory)[0], directory)
    if _layout(given) not in (Layout(), there):
        raise ValueError(
            f"--add keeps the kind of the index that is there, {there} with an effort of "
            f"{there.effort}: leave out --kind, --vectors, --prefix, --pca and --effort"
        )


def _stored(given: Namespace) -> "EmbeddingBlocks":
    from ranklight.serving.embedding_blocks import EmbeddingBlocks

    return EmbeddingBlocks(Path(given.embeddings))


def _print(measured: Iterable["Measured"], title: str) -> None:
    from rich.table import Column, Table

    from ranklight.plain_console import plain_console

    numbers = ("bytes a vector", "recall", "ms a query")
    table = Table("index", *(Column(name, justify="right") for name in numbers), title=title)
    for line in measured:
        size, recall = f"{line.bytes_a_vector:,.1f}", f"{line.recall:.3f} @{line.k}"
        table.add_row(line.layout, size, recall, f"{line.ms_a_query:.2f}")
    plain_console().print(table)


def _check(given: Namespace) -> None:
    """Refuse options that do not go together, before anything is loaded."""
    sources = [given.images is not None, given.embeddings is not None, given.remove is not None]
    if sum(sources) != 1:
        raise ValueError("needed is one of: RUN IMAGES, --embeddings FILE, or --remove FILE ...")
    if given.compare != (given.output is None):
        raise ValueError("--output names the directory of the index; only --compare goes without")
    if given.compare and given.embeddings is None:
        raise ValueError("--compare needs --embeddings, a file that `ranklight embed` wrote")
    check_numbers(given)
    if given.compare and given.add:
        raise ValueError("--compare writes nothing, so there is nothing to --add: give one of them")
    if given.add:
        _check_layout_of(given)
    if given.embeddings is not None and given.root is not None and not Path(given.root).is_dir():
        raise FileNotFoundError(f"--root must be a folder; there is no {given.root}")
    if given.add and given.remove is not None:
        raise ValueError("--add and --remove are two commands: give one after the other")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "ranklight index",
        description=__doc__,
        usage="ranklight index [RUN] [IMAGES | --embeddings FILE] --output DIR [options]",
    )
    parser.add_argument("run", nargs="?", help="A run's directory, a checkpoint, or an export.")
    parser.add_argument(
        "images", nargs="?", help="A folder, a table, a list or - as of `ranklight embed`."
    )
    parser.add_argument("--embeddings", help="A Parquet file that `ranklight embed` wrote.")
    parser.add_argument("--output", help="The directory of the index.")
    parser.add_argument(
        "--add", action="store_true", help="Add to the index that is there; others are replaced."
    )
    parser.add_argument("--remove", nargs="+", metavar="FILE", help="Remove files from the index.")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="Only print what each kind of index would cost and find of --embeddings.",
    )
    _add_layout(parser)
    parser.add_argument("--image", help="Column of the paths in a table (default: image).")
    parser.add_argument(
        "--root", help="Where relative names of files start (default: the current folder)."
    )
    parser.add_argument(
        "--batch_size", type=int, default=128, help="Images that the network is given at once."
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="Processes that read images; 0: none beside this one.",
    )
    return parser


def _add_layout(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--kind",
        choices=_KINDS,
        default="Exact",
        help="Exact compares with every image; IVFFlat and IVFPQ with those of some cells, IVFPQ "
        "by small codes; HNSW follows a graph.",
    )
    parser.add_argument(
        "--vectors",
        choices=_KEPT,
        default="float32",
        help="What is kept of each number: 4, 2 or 1 bytes, or 1 bit.",
    )
    parser.add_argument(
        "--prefix", type=int, default=0, help="Keep the first so many dimensions (Matryoshka)."
    )
    parser.add_argument("--pca", type=int, default=0, help="Keep so many principal components.")
    parser.add_argument(
        "--effort",
        type=int,
        default=32,
        help="Cells that are searched, or length of the search in the graph; more finds more.",
    )
