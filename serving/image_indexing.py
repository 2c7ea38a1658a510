"""From images to an index: what is not in it yet is embedded, then indexed."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from ranklight.serving.boxes import Shown
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


@contextmanager
def embedded(model: TrainedModel, what: ToEmbed) -> Iterator[EmbeddingBlocks]:
    """Embed images into a file beside the index that is there until they are indexed.

    Goes on with what a process left that was killed, or that could not write its index.

    Raises:
        OSError: Something could not be written.
    """
    output = what.directory.with_name(f"{what.directory.name}.embeddings.parquet")
    job = Job(what.run, what.images, output, None, what.batch_size, what.workers)
    try:
        with job.parts.claimed(plan_of(model, job)):
            embed_parts(model, job)
            write_as(output, schema_of(model, job), job.parts)
            source = EmbeddingBlocks(output)
            if source.rows:
                yield source
                return
        # Parts in which all is broken are no use to go on with.
        yield source
    finally:
        output.unlink(missing_ok=True)


def without(images: ImageList, known: Collection[Shown]) -> ImageList:
    """The images whose file, or the box in it, is not known yet."""
    import pyarrow

    shown = zip(images.files, images.boxes or repeat(None), strict=False)
    fresh = [number for number, image in enumerate(shown) if image not in known]
    return images._replace(
        files=[images.files[number] for number in fresh],
        boxes=None if images.boxes is None else [images.boxes[number] for number in fresh],
        columns=None
        if images.columns is None
        else images.columns.take(pyarrow.array(fresh, pyarrow.int64())),
    )
