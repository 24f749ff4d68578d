"""The page: files that lie beside this module, and the colours that all pages of the project share."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from reconstruction_pipeline.web.errors import Refused

TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/")
@router.head("/")
async def index() -> Response:
    """The page."""
    return _asset("index.html")


@router.get("/docs")
async def docs() -> Response:
    """The API's description for people; fetches nothing from elsewhere."""
    return _asset("docs.html")


@router.get("/favicon.ico")
async def icon() -> Response:
    """There is none; said quietly."""
    return Response(status_code=204)


@router.get("/page/{name}")
async def asset(request: Request, name: str) -> Response:
    """A script or style of the page."""
    return _asset(name)


def _asset(name: str) -> Response:
    text = _texts().get(name)
    if text is None:
        raise Refused(404, "There is no such page.")
    suffix = name[name.rindex(".") :]
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    return Response(text, headers=headers, media_type=TYPES[suffix])


@cache
def _texts() -> dict[str, str]:
    """Every file of the page; nothing else can be asked for."""
    folder = files("reconstruction_pipeline.web") / "static"
    found = {
        file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name[file.name.rfind(".") :] in TYPES
    }
    theme = files("reconstruction_pipeline.report") / "templates" / "theme.css"
    gallery = files("reconstruction_pipeline.gallery") / "templates" / "gallery.css"
    return {**found, "theme.css": theme.read_text("utf-8"), "gallery.css": gallery.read_text("utf-8")}
