"""The beginning of every image file: whether it can be one at all."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ranklight.datamodules.reading.pictures import check_header

_CHUNK = 64
_THREADS = 16


def unreadable_headers(
    files: Sequence[str], advance: Callable[[int], object] = lambda done: None
) -> list[str]:
    """A sentence for each file whose header cannot be read; its pixels are not looked at.

    A header is a few hundred bytes: 10,000 files a second of one core from a local disk, and
    threads wait together where the disk is on a network.

    Args:
        files: Images.
        advance: Called with a number of files when they are done.
    """
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    sentences: list[str] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for chunk, found in zip(chunks, pool.map(_unreadable, chunks), strict=True):
            sentences += found
            advance(len(chunk))
    return sentences


def _unreadable(files: Sequence[str]) -> list[str]:
    return [sentence for file in files if (sentence := _fault_of(file)) is not None]


def _fault_of(file: str) -> str | None:
    try:
        check_header(file)
    except ValueError as error:
        return str(error)
    return None
