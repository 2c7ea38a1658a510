"""From images to an index: what is not in it yet is embedded, then indexed."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from ranklight.serving.embedding import Job, embed_parts, plan_of, schema_of
from ranklight.serving.embedding_blocks import EmbeddingBlocks
from ranklight.serving.embedding_formats import write_as
from ranklight.serving.image_lists import ImageList
from ranklight.serving.trained_model import TrainedModel


class ToEmbed(NamedTuple):
    """Images of an index to be.

    Args:
        run: What to load.
        images: Which.
        directory: Of the index; what is embedded lies beside it until it is indexed.
        batch_size: Images that the network is given at once.
        workers: Processes that read files.
    """

    run: str
    images: ImageList
    directory: Path
    batch_size: int
    workers: int


def embedded(model: TrainedModel, what: ToEmbed) -> EmbeddingBlocks:
    """Embed images into a file beside the index; goes on with what a killed process left.

    Raises:
        ValueError: No image could be read.
        OSError: Something could not be written.
    """
    output = what.directory.with_name(f"{what.directory.name}.embeddings.parquet")
    job = Job(what.run, what.images, output, None, what.batch_size, what.workers)
    with job.parts.claimed(plan_of(model, job)):
        embed_parts(model, job)
        write_as(output, schema_of(model, job), job.parts)
    return EmbeddingBlocks(output)


def without(images: ImageList, known: Collection[str]) -> ImageList:
    """The images whose files are not known yet."""
    fresh = [number for number, file in enumerate(images.files) if file not in known]
    return images._replace(
        files=[images.files[number] for number in fresh],
        boxes=None if images.boxes is None else [images.boxes[number] for number in fresh],
        columns=None if images.columns is None else images.columns.take(fresh),
    )
