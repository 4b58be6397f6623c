"""The page's own files, read once: HTML, style and scripts as they lie in the package, nothing built.

The policy is the page's whole list of what a browser may do for it: our own scripts and style sheet, requests to this
server. No inline script, no frame around it, no form, no text that becomes markup (Trusted Types; the scripts have no
policy to make any).
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
    """Every file by its path; the first is `/`."""
    found: dict[str, Response] = {}
    for file in files("hublet.ui").joinpath("static").iterdir():
        type_ = _TYPES.get(f".{file.name.rpartition('.')[2]}")
        if type_ is None:
            continue
        response = Response(200, (("Content-Type", type_), *HEADERS), file.read_bytes())
        found["/" if file.name == _FIRST else f"/{file.name}"] = encoding.of_a_page(response, POLICY)
    return found
