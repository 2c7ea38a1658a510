"""`ranklight serve`: an index on a page; drop a picture, see the nearest, search on."""

import math
import socket
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranklight.serving.picture_search import PictureSearch

_MOST_AT_ONCE = 200
_HERE = ("127.0.0.1", "localhost", "[::1]", "::1")


def main(arguments: Sequence[str]) -> None:
    """Serve the index that the command line names, until Ctrl-C."""
    given = _parser().parse_args(arguments)
    _check(given)
    _check_free(given.host, given.port)
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise ImportError(
            "a page needs fastapi and uvicorn: pip install 'ranklight[serve]'"
        ) from error
    from ranklight.serving.web_page import web_page

    page = web_page(_search_of(given), _told_names(given))
    uvicorn.run(
        page,
        host=given.host,
        port=given.port,
        log_level="warning",
        limit_concurrency=_MOST_AT_ONCE,
    )


def _check(given: Namespace) -> None:
    """Refuse numbers and names that cannot be, before anything is loaded."""
    for name in ("most_megabytes", "most_megapixels"):
        if not 0 < getattr(given, name) < math.inf:
            raise ValueError(f"--{name} must be above 0 and finite; got {getattr(given, name)}")
    if not 0 < given.port < 65536:
        raise ValueError(f"--port is 1 to 65535; got {given.port}")
    if not given.host:
        raise ValueError("--host is empty: name an address, such as 127.0.0.1, or 0.0.0.0 for all")


def _search_of(given: Namespace) -> "PictureSearch":
    from ranklight.serving.image_index import ImageIndex
    from ranklight.serving.picture_search import Limits, PictureSearch
    from ranklight.serving.queries import model_of

    index = ImageIndex.open(given.index, given.effort)
    limits = Limits(int(1e6 * given.most_megabytes), int(1e6 * given.most_megapixels))
    search = PictureSearch(index, model_of(index, given.run), limits)
    shown = f"[{given.host}]" if ":" in given.host else given.host
    print(f"{len(index):,} images on http://{shown}:{given.port} (Ctrl-C ends it)", flush=True)
    return search


def _told_names(given: Namespace) -> list[str]:
    """The names that the page is opened as; said where others reach it."""
    names = [*_HERE, given.host, *given.also_as]
    if given.host not in _HERE:
        print(
            f"anyone who reaches {given.host} sees the index and its images: there is no login; "
            f"the page is opened as {', '.join(names)}, and --also_as adds to these",
            flush=True,
        )
    return names


def _check_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before a model is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise ValueError(
            f"{host}:{port} cannot be listened on ({error.strerror}): give another --port or --host"
        ) from error


def _parser() -> ArgumentParser:
    parser = ArgumentParser("ranklight serve", description=__doc__)
    parser.add_argument("index", help="The directory that `ranklight index` made.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="Where it listens; by default for this machine alone."
    )
    parser.add_argument("--port", type=int, default=8000, help="The port (8000).")
    parser.add_argument(
        "--also_as", nargs="+", default=[], help="Further names under which the page is opened."
    )
    parser.add_argument("--run", help="The run that made the index, if it was moved since.")
    parser.add_argument(
        "--effort", type=int, help="How far an approximate index looks, in place of the built one."
    )
    parser.add_argument(
        "--most_megabytes", type=float, default=20, help="Size of an upload, at most (20)."
    )
    parser.add_argument(
        "--most_megapixels", type=float, default=50, help="Pixels of an upload, at most (50)."
    )
    return parser
