"""Lists of the nearest images of each image, and the files that hold them."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from ranklight.datamodules.reading.plain_pickle import read_plain_pickle


class Neighbours(NamedTuple):
    """The k nearest other images of each image by label, nearest first.

    Args:
        index: Which images.
        distance: Their label distances, ascending.
        recall: Share of the true k nearest among them; 1 where the search was exact, else measured
            on a sample.
    """

    index: Int[np.ndarray, "n k"]  # type: ignore[assignment]
    distance: Float[np.ndarray, "n k"]
    recall: float


def write_neighbours(path: str, neighbours: Neighbours) -> None:
    """Save lists as .npz; whoever reads meanwhile sees the old file or the new one, whole."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    unfinished = f"{path}.{os.getpid()}.npz"
    np.savez(unfinished, **neighbours._asdict())
    os.replace(unfinished, path)


def read_neighbours(
    path: str,
    images: int,
    k: int | None = None,
    distances: str | None = None,
    part: str = "trn",
) -> Neighbours:
    """Lists from a file: .npz, or the .pkl files of the log-ratio paper's release.

    An .npz file has an array `index`, and if wanted `distance` and `recall`. A pickle is a dict
    from part to lists, `list_nn.pkl`, with their distances in a second file, `dist_nn.pkl`; it is
    read without executing what it says (`read_plain_pickle`).

    Args:
        path: The file.
        images: How many images the data set has.
        k: How many neighbours to read; all by default.
        distances: The second file of a pickle.
        part: Of a pickle.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The lists are for another number of images, hold fewer neighbours, or are not
            nearest first.
    """
    is_pickle = path.endswith(".pkl")
    read = _read_pickles(path, distances, part) if is_pickle else _read_arrays(path)
    index, distance, recall = read
    check_neighbours(index, images, path)
    if np.shape(distance) != np.shape(index) or (np.diff(distance, axis=1) < 0).any():
        raise ValueError(f"the distances beside {path} are of other lists, or not ascending")
    if k is not None and index.shape[1] < k:
        raise ValueError(f"{path} holds {index.shape[1]} neighbours an image, {k} are needed")
    return Neighbours(index[:, :k], distance[:, :k], recall)


def read_lists(path: str, part: str = "trn") -> NDArray[Any]:
    """One part of a pickled dict of lists of equal length, as an array.

    Raises:
        ValueError: No such part, or lists of several lengths; names the file.
    """
    lists = read_plain_pickle(path)
    if not isinstance(lists, dict) or part not in lists:
        raise ValueError(f"{path} must hold a dict with the key {part}")
    lengths = {len(row) for row in lists[part]}
    if len(lengths) != 1:
        raise ValueError(f"{path} must list equally many neighbours of each image; got {lengths}")
    return np.asarray(lists[part])


def _read_pickles(
    path: str, distances: str | None, part: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    index = read_lists(path, part).astype(np.int64)
    if distances is None:
        return index, np.full(index.shape, np.nan), np.nan
    return index, read_lists(distances, part).astype(np.float64), np.nan


def _read_arrays(path: str) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file of neighbours {path} (from {Path.cwd()})")
    try:
        arrays = np.load(path)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} must be an .npz file with an array `index`: {error}") from error
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise ValueError(f"{path} must be an .npz file with an array `index`; got one array, .npy")
    with arrays:
        if "index" not in arrays:
            raise ValueError(f"{path} has no array `index`; it has {', '.join(arrays)}")
        index = arrays["index"]
        distance = arrays["distance"] if "distance" in arrays else np.full(index.shape, np.nan)
        recall = float(arrays["recall"]) if "recall" in arrays else np.nan
    return index, distance, recall


def check_neighbours(index: Int[np.ndarray, "m k"], images: int, source: str) -> None:
    """Refuse lists that are not of this data set.

    Raises:
        ValueError: Another number of images, an image that does not exist, or one in its own list.
    """
    if len(index) != images:
        raise ValueError(f"{source} lists neighbours of {len(index)} images, the data has {images}")
    if index.size and not 0 <= index.min() <= index.max() < images:
        raise ValueError(
            f"{source} names images {index.min()}..{index.max()}, the data has 0..{images - 1}"
        )
    own = (index == np.arange(images)[:, None]).any(1)
    if own.any():
        raise ValueError(f"{source} lists image {own.argmax()} as its own neighbour")
