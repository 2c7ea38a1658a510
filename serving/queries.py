"""What is searched for: images, a folder of them, or the rows of an embeddings file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from ranklight.datamodules.reading.found import LeftOut
from ranklight.datamodules.reading.pictures import picture_size
from ranklight.serving.boxes import Shown, shown_in
from ranklight.serving.embedding_blocks import EmbeddingBlocks
from ranklight.serving.image_index import ImageIndex
from ranklight.serving.image_lists import images_below
from ranklight.serving.pictures import Images
from ranklight.serving.trained_model import load


@runtime_checkable
class Embeds(Protocol):
    """What a search needs of a `TrainedModel`.

    Attributes:
        encoder_hash: Names its encoder.
    """

    encoder_hash: str

    def embed(self, images: Images) -> Float32[np.ndarray, "n d"]:
        """The embedding of each image, in order."""


class Queries(NamedTuple):
    """Images to search for.

    Args:
        shown: What each is.
        vectors: One row each.
    """

    shown: list[Shown]
    vectors: Float32[np.ndarray, "n d"]


def stored_queries(path: Path, index: ImageIndex) -> Queries:
    """The images of an embeddings file.

    Raises:
        ValueError: It is of another encoder than the index, or holds no vector.
    """
    source = EmbeddingBlocks(path)
    source.check_any()
    index.check_encoder(source.about.encoder, f"the embeddings {path} are")
    blocks = list(source)
    shown = [image for block in blocks for image in shown_in(block.table)]
    return Queries(shown, np.concatenate([block.vectors for block in blocks]))


def image_files(names: Sequence[str]) -> list[Path]:
    """Images, and those of folders, each looked at as far as its header.

    Raises:
        FileNotFoundError: There is no such file or folder, or no image in a folder.
        ValueError: A file is no image that can be read; names it.
    """
    if "" in names:
        raise FileNotFoundError("an image or folder to search for has no name: it is empty")
    files = [file for name in names for file in _files(Path(name))]
    # So that one broken file among many ends it before the model is loaded.
    for file in files:
        picture_size(file)
    return files


def image_queries(files: Sequence[Path], model: Embeds) -> Queries:
    """Images by their vectors.

    Raises:
        ValueError: A file cannot be read; names it.
    """
    return Queries([(str(file), None) for file in files], model.embed(files))


def model_of(index: ImageIndex, run: str | None = None) -> Embeds:
    """The model that made an index.

    Args:
        index: Says which run it was.
        run: Another place of that run.

    Raises:
        ValueError: The index does not know its run, or this is another model.
    """
    where = run or index.run
    if where is None:
        raise ValueError(
            "the index was built from an embeddings file alone and does not know its run: name it "
            "by --run"
        )
    model = load(where)
    index.check_encoder(model.encoder_hash, f"the run {where} is")
    return model


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return images_below(path, LeftOut(path))
    if not path.exists():
        raise FileNotFoundError(f"there is no image or folder {path} to search for")
    return [path]
