"""Pictures small enough to lie in a page."""

from base64 import b64encode
from pathlib import Path

from ranklight.datamodules.reading.pictures import Box
from ranklight.serving.report.markup import Html, element
from ranklight.serving.thumbnails import jpeg_of, thumbnail

_SIDE = 128


def picture_in_page(file: Path | None, name: str, words: str, box: Box | None = None) -> Html:
    """A picture of at most 128 × 128 pixels with its bytes in the page, or why there is none.

    Args:
        file: Where it lies; None where that is not known.
        name: What it is called.
        words: What it shows, for those who do not see it.
        box: The part of the file that it is; None for the whole.
    """
    if file is None:
        return element("span", f"no picture: {name} is not there", class_="no-picture")
    try:
        small = thumbnail(file, _SIDE, box)
    except ValueError as error:
        return element("span", f"no picture: {error}", class_="no-picture")
    source = f"data:image/jpeg;base64,{b64encode(jpeg_of(small)).decode()}"
    times = max(1, _SIDE // max(small.size))
    return element(
        "img",
        src=source,
        alt=words,
        width=small.width * times,
        height=small.height * times,
        class_="enlarged" if times > 1 else "picture",
    )
