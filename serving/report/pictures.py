"""Rows of pictures with what is said of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from ranklight.datamodules.reading.pictures import Box
from ranklight.serving.report.markup import Html, element
from ranklight.serving.report.picture_in_page import picture_in_page

Judged = Literal["", "right", "wrong"]


class Shown(NamedTuple):
    """A picture in a row.

    Attributes:
        name: What it is called.
        file: Where it lies; None where that is not known.
        words: Lines that stand beneath.
        judged: Whether it is what was looked for.
        box: The part of the file that is shown; None for the whole.
    """

    name: str
    file: Path | None
    words: tuple[str, ...]
    judged: Judged = ""
    box: Box | None = None


def row_of_pictures(shown: Iterable[Shown]) -> Html:
    """Pictures side by side; the judgement is written as well, not only a colour."""
    return element("ul", *map(_item, shown), class_="pictures")


def _item(picture: Shown) -> Html:
    told = f"{picture.name}: {', '.join(picture.words)}"
    lines: list[object] = [element("b", picture.judged)] if picture.judged else []
    for words in picture.words:
        lines += [element("br"), words] if lines else [words]
    shown = picture_in_page(picture.file, picture.name, told, picture.box)
    figure = element("figure", shown, element("figcaption", *lines))
    return element("li", figure, class_=picture.judged or "plain")
