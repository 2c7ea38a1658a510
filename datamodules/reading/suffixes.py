"""Which files are pictures, by the endings of their names."""

from functools import cache
from importlib.util import find_spec
from pathlib import PurePath

from PIL import features

from ranklight.datamodules.reading.pictures import SUFFIXES

_HEIC = (".heic", ".heif")


@cache
def suffixes() -> frozenset[str]:
    """The endings of files that can be read here."""
    avif = () if features.check("avif") else (".avif",)
    heic = () if find_spec("pillow_heif") else _HEIC
    return SUFFIXES - {*avif, *heic}


def why_no_picture(name: str) -> str | None:
    """Why a file is left out, in words that a count may stand before; None for a picture."""
    suffix = PurePath(name).suffix.lower()
    if suffix in suffixes():
        return None
    if suffix in _HEIC:
        return f"{suffix} (pip install pillow-heif to read them)"
    if suffix == ".avif":
        return ".avif (which this Pillow cannot read)"
    return f"{suffix} files" if suffix else "files without an ending"
