"""What a page asks of an index: what is nearest to a picture or a row, and small pictures."""

from tempfile import NamedTemporaryFile
from threading import BoundedSemaphore, Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from ranklight.datamodules.reading.boxes import SIDES
from ranklight.datamodules.reading.pictures import picture_size, read_picture
from ranklight.serving.found import as_json, found_images
from ranklight.serving.image_index import ImageIndex
from ranklight.serving.queries import Embeds
from ranklight.serving.thumbnails import jpeg_of, thumbnail

_SIDE, _MOST_FOUND, _MOST_VALUES = 256, 200, 50
_DECODED_AT_ONCE = 4


class Limits(NamedTuple):
    """What an upload may be.

    Args:
        bytes: Of its file, at most.
        pixels: Of the picture, at most.
    """

    bytes: int = 20_000_000
    pixels: int = 50_000_000


class Refused(ValueError):  # noqa: N818
    """A request that cannot be answered.

    Args:
        sentence: Why.
        status: HTTP's number of it.
    """

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


class PictureSearch:
    """Searches an index for uploaded pictures and for its own images.

    Args:
        index: To search.
        model: That made it.
        limits: Of uploads.
    """

    def __init__(self, index: ImageIndex, model: Embeds, limits: Limits | None = None) -> None:
        self.index, self.model, self.limits = index, model, limits or Limits()
        self.columns = _columns_to_filter(index.files)
        # Decoded, a picture of the most pixels takes 150 MB.
        self._reading = BoundedSemaphore(_DECODED_AT_ONCE)
        # One picture after the other: each takes all the cores that the network was given.
        self._network = Lock()

    def about(self) -> dict[str, Any]:
        """What a page wants to know of the index."""
        return {
            "images": len(self.index),
            "layout": str(self.index.vectors.layout),
            "threshold": self.index.threshold,
            "columns": self.columns,
            "most_bytes": self.limits.bytes,
        }

    def by_picture(self, content: bytes, k: int, where: list[str]) -> dict[str, Any]:
        """What is nearest to an uploaded file.

        Raises:
            Refused: It is no picture, too large, or k is beyond the index.
        """
        return self._answer(self._embedded(content), k, where, None)

    def by_row(self, row: int, k: int, where: list[str]) -> dict[str, Any]:
        """What is nearest to an image of the index.

        Raises:
            Refused: There is no such row, or k is beyond the index.
        """
        return self._answer(None, k, where, row)

    def picture(self, row: int) -> bytes:
        """A JPEG of an image of the index, small.

        Raises:
            Refused: There is no such row, or its file is gone or cannot be read any more.
        """
        if not 0 <= row < len(self.index):
            raise Refused(f"rows of the index are 0 to {len(self.index) - 1}, not {row}", 404)
        file = self.index.path(row)
        if not file.is_file():
            raise Refused(f"the file of row {row} is gone", 404)
        try:
            return jpeg_of(thumbnail(file, _SIDE, self.index.box(row)))
        except ValueError as error:
            raise Refused(f"the file of row {row} cannot be read any more", 404) from error

    def _embedded(self, content: bytes) -> Float32[np.ndarray, "1 d"]:
        with self._reading:
            picture = self._decoded(content)
            with self._network, torch.inference_mode():
                return self.model.embed([picture])

    def _decoded(self, content: bytes) -> UInt8[torch.Tensor, "3 h w"]:
        with NamedTemporaryFile(suffix=".upload") as file:
            try:
                file.write(content)
                file.flush()
                self._check_pixels(*picture_size(file.name))
                return read_picture(file.name)
            except Refused:
                raise
            except ValueError as error:
                raise Refused(str(error).replace(file.name, "the upload"), 415) from error
            except OSError as error:
                raise Refused(f"the upload cannot be read here ({error.strerror})", 507) from error

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self.limits.pixels:
            raise Refused(
                f"the picture has {width * height:,} pixels, and may have "
                f"{self.limits.pixels:,}: make it smaller",
                413,
            )

    def _answer(
        self, vector: Float32[np.ndarray, "1 d"] | None, k: int, where: list[str], row: int | None
    ) -> dict[str, Any]:
        if not 1 <= k <= _MOST_FOUND:
            raise Refused(f"k is 1 to {_MOST_FOUND}, not {k}")
        allowed = self._allowed(where)
        try:
            if row is not None:
                others = max(1, min(k, len(self.index) - 1))
                near = self.index.search_rows([row], others, allowed)
            else:
                assert vector is not None
                near = self.index.search(vector, k, allowed)
        except ValueError as error:
            raise Refused(str(error)) from error
        (found,) = found_images(self.index, *near)
        return as_json("upload" if row is None else self.index.files["file"][row].as_py(), found)

    def _allowed(self, where: list[str]) -> Bool[np.ndarray, " m"] | None:
        """Which images have the values that `column=value` names."""
        import pyarrow.compute as pc

        if not where:
            return None
        allowed = np.ones(len(self.index), dtype=bool)
        for condition in where:
            column, _, value = condition.partition("=")
            if column not in self.columns:
                raise Refused(f"the index has no column {column} to filter by")
            same = pc.equal(self.index.files[column].cast("string"), value)
            allowed &= same.fill_null(False).to_numpy()
        return allowed


def _columns_to_filter(files: Any) -> dict[str, list[str]]:
    """The values of each column that has few enough to choose from."""
    import pyarrow as pa

    columns = {}
    for name in files.column_names:
        column = files[name]
        if name in ("file", *SIDES) or pa.types.is_nested(column.type):
            continue
        values = column.cast("string").unique().drop_null().to_pylist()
        if 1 < len(values) <= _MOST_VALUES:
            columns[name] = sorted(values)
    return columns
