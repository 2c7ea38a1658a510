"""An index as a web page: what is asked for is a picture or a row, what is served is its files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ranklight.serving.picture_search import PictureSearch, Refused

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

_PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    # Pages elsewhere may not show its pictures, and so not measure them either.
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def web_page(search: PictureSearch, hosts: Sequence[str]) -> "FastAPI":
    """The application that a web server runs.

    Args:
        search: What it asks.
        hosts: Names under which it answers: a page elsewhere whose name is made to point here
            (DNS rebinding) is sent away.
    """
    from fastapi import FastAPI

    app = FastAPI(title="ranklight", docs_url=None, redoc_url=None, openapi_url=None)
    _guard(app, hosts)
    _serve_files(app)
    _answer_searches(app, search)
    return app


def _guard(app: "FastAPI", hosts: Sequence[str]) -> None:
    """Answer under known names, to its own page, with headers that a browser heeds."""
    from fastapi import Request
    from fastapi.responses import JSONResponse
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Any:
        if _asked_from_elsewhere(request):
            response = JSONResponse({"detail": "only its own page may ask this server"}, 403)
        else:
            response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.exception_handler(Refused)
    async def refuse(request: Request, refused: Refused) -> JSONResponse:
        return JSONResponse({"detail": str(refused)}, refused.status)


def _serve_files(app: "FastAPI") -> None:
    from fastapi.responses import Response

    for path, (name, kind) in _FILES.items():
        content = (_PAGE / name).read_bytes()
        app.get(path)(_always(Response(content, media_type=kind)))


def _answer_searches(app: "FastAPI", search: PictureSearch) -> None:
    from fastapi import Query, Request
    from fastapi.responses import Response
    from starlette.concurrency import run_in_threadpool

    @app.get("/index")
    def about() -> dict[str, Any]:
        return search.about()

    @app.get("/search")
    def by_row(
        row: int, k: int = 10, where: Annotated[list[str] | None, Query()] = None
    ) -> dict[str, Any]:
        return search.by_row(row, k, where or [])

    @app.post("/search")
    async def by_picture(
        request: Request, k: int = 10, where: Annotated[list[str] | None, Query()] = None
    ) -> dict[str, Any]:
        content = await _body(request, search.limits.bytes)
        return await run_in_threadpool(search.by_picture, content, k, where or [])

    @app.get("/images/{row}")
    def picture(row: int) -> Response:
        headers = {"Cache-Control": "private, max-age=300"}
        return Response(search.picture(row), media_type="image/jpeg", headers=headers)


def _asked_from_elsewhere(request: "Request") -> bool:
    """Whether a page of another address asks, which could make a browser search without end."""
    if request.url.path == "/":
        return False
    site = request.headers.get("sec-fetch-site", "none")
    own = f"{request.url.scheme}://{request.headers.get('host')}"
    return site not in ("same-origin", "none") or request.headers.get("origin", own) != own


def _always(response: Any) -> Any:
    def give() -> Any:
        return response

    return give


async def _body(request: "Request", most: int) -> bytes:
    """An upload, of which no more is read than it may have."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Refused(f"the upload is larger than {most:,} bytes: make it smaller", 413)
        parts.append(part)
    return b"".join(parts)
