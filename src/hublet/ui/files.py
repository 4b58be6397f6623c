"""The files of the page, read once: HTML, style sheet and scripts, as they are in the package. There is no build step.

The Content-Security-Policy lists everything that a browser may do for the page: load its own scripts and style sheet,
and send requests to this server. It forbids inline scripts, frames around the page, forms, and turning text into markup
(Trusted Types: the scripts have no policy that could make any).
"""

from __future__ import annotations

from importlib.resources import files

from hublet.core.messages import Headers, Response
from hublet.door import encoding

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Headers = (
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("X-Frame-Options", "DENY"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FIRST = "index.html"


def read_files() -> dict[str, Response]:
    """The response for each file, by path; index.html is `/`."""
    found: dict[str, Response] = {}
    for file in files("hublet.ui").joinpath("static").iterdir():
        type_ = _TYPES.get(f".{file.name.rpartition('.')[2]}")
        if type_ is None:
            continue
        response = Response(200, (("Content-Type", type_), *HEADERS), file.read_bytes())
        found["/" if file.name == _FIRST else f"/{file.name}"] = encoding.of_a_page(response, POLICY)
    return found
