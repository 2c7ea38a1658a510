"""`ranklight embed`: vectors of images in a file, by a trained model."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from ranklight.commands.outputs import check_output

if TYPE_CHECKING:
    from ranklight.serving.image_lists import ImageList

_KINDS = (".parquet", ".npz", ".npy")


def main(arguments: Sequence[str]) -> None:
    """Embed the images that the command line names."""
    given = _parser().parse_args(arguments)
    output = Path(given.output)
    if output.suffix not in _KINDS:
        raise ValueError(f"--output must end in {', '.join(_KINDS)}; got {output}")
    check_output("--output", output, [given.images])
    if output.exists() and not given.overwrite:
        raise FileExistsError(
            f"{output} is there already: give another --output, or --overwrite to replace it"
        )
    check_numbers(given)
    if not all(given.devices):
        raise ValueError(f"--devices needs names, such as cuda:0,cuda:1; got {given.devices}")
    _embed(given, output)


def check_numbers(given: Namespace) -> None:
    """Refuse numbers of images and of processes that cannot be.

    Raises:
        ValueError: One is too small.
    """
    for name, least in (("batch_size", 1), ("workers", 0)):
        if getattr(given, name) < least:
            raise ValueError(f"--{name} must be {least} or more; got {getattr(given, name)}")


def _embed(given: Namespace, output: Path) -> None:
    from ranklight.serving.embedding import Job, embed_parts, plan_of, schema_of
    from ranklight.serving.embedding_formats import write_as
    from ranklight.serving.image_lists import list_images
    from ranklight.serving.trained_model import load, usable_device

    images = list_images(given.images, given.image, given.root)
    for device in given.devices:
        usable_device(device)
    model = load(given.run, given.devices[0] if given.devices else None)
    decision = _decision(given.decision, model.decisions)
    job = Job(given.run, images, output, decision, given.batch_size, given.workers)
    schema = schema_of(model, job)
    start, left = monotonic(), sum(len(job.parts.positions(part)) for part in job.parts.missing())
    if left < len(images.files):
        print(f"going on: {len(images.files) - left:,} of {len(images.files):,} images are done")
    with job.parts.claimed(plan_of(model, job)):
        embed_parts(model, job, given.devices)
        seconds = monotonic() - start
        broken = job.parts.broken()
        # What was there is not given up for nothing.
        if len(broken) < len(images.files) or not output.exists():
            write_as(output, schema, job.parts, model.class_names)
    told = f"{model.embedding_size} dimensions, {left / seconds:,.0f} images a second"
    _tell(output, images, broken, told)


def _tell(output: Path, images: "ImageList", broken: Sequence[str], told: str) -> None:
    if len(broken) == len(images.files):
        raise ValueError(
            f"none of the {len(broken):,} images of {images.source} can be read, first: {broken[0]}"
        )
    print(f"{output}: {len(images.files):,} images of {images.source}, {told}")
    if images.left_out is not None and images.left_out.counts:
        print(images.left_out)
    if broken:
        print(f"{len(broken):,} of them cannot be read, first: {broken[0]}")


def _decision(named: str | None, fitted: Sequence[str]) -> str | None:
    """The decision that is meant: the one that is named, or the only one."""
    if named is None and len(fitted) > 1:
        print(f"decided labels are left out: --decision chooses one of {', '.join(fitted)}")
        return None
    if named is not None and named not in fitted:
        there = ", ".join(fitted) or "none"
        raise ValueError(f"--decision must be a fitted decision of the run ({there}); got {named}")
    return named or next(iter(fitted), None)


def _parser() -> ArgumentParser:
    parser = ArgumentParser("ranklight embed", description=__doc__)
    parser.add_argument(
        "run", help="A run's directory, a checkpoint, or a folder that `ranklight export` wrote."
    )
    parser.add_argument(
        "images",
        help="A folder (with those in it), a table (.csv, .tsv, .parquet, .jsonl), a .txt with a "
        "path a line, an image, or - for paths on standard input.",
    )
    parser.add_argument(
        "--output", required=True, help="The file: .parquet, .npz, or .npy (the vectors alone)."
    )
    parser.add_argument("--image", help="Column of the paths in a table (default: image).")
    parser.add_argument(
        "--root", help="Where relative paths begin (default: the folder of the table)."
    )
    parser.add_argument("--decision", help="Which of a multi-label run's decisions says labels.")
    parser.add_argument(
        "--batch_size", type=int, default=128, help="Images that the network is given at once."
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="Processes that read images, for each device; 0: none beside this one.",
    )
    parser.add_argument(
        "--devices",
        type=lambda names: names.split(","),
        default=[],
        help="Where the network runs, such as cuda:0,cuda:1 (default: the first GPU, or the CPU).",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace the file if it is there already."
    )
    return parser
