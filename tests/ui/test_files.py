"""The page's own files: all of them installed, small, and with nothing that the policy would have to allow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hublet.core.messages import Response
from hublet.door.encoding import head_of
from hublet.ui.files import POLICY, read_files

SOURCE = Path(__file__).parents[2] / "src" / "hublet" / "ui" / "static"
FILES = read_files()


def text(path: str) -> str:
    body = FILES[path].body
    assert isinstance(body, bytes)
    return body.decode("utf-8")


def test_what_is_installed_has_every_file() -> None:
    """Byte for byte: where hublet was installed from a wheel, this looks into what the wheel brought."""
    expected = {f"/{path.name}" if path.name != "index.html" else "/": path.read_bytes() for path in SOURCE.iterdir()}
    assert {path: response.body for path, response in FILES.items()} == expected


def test_the_page_is_under_100_kb_as_sent() -> None:
    """All that a browser fetches before the first question, heads included; nothing is compressed."""
    assert sum(len(head_of(response)) + len(response.body) for response in FILES.values()) < 100_000  # type: ignore[arg-type]


def test_the_policy_allows_what_is_ours_and_nothing_else() -> None:
    """Each directive by itself; what is not named falls back to nothing."""
    directives = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


@pytest.mark.parametrize("path", sorted(FILES))
def test_every_file_is_sent_with_the_policy(path: str) -> None:
    """Once each, and never to be sniffed, kept, framed or shared with another window."""
    lines = head_of(FILES[path]).decode().split("\r\n")
    for line in (
        f"Content-Security-Policy: {POLICY}",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Cross-Origin-Opener-Policy: same-origin",
        "Cross-Origin-Embedder-Policy: require-corp",
        "Cross-Origin-Resource-Policy: same-origin",
        "X-Frame-Options: DENY",
        "Cache-Control: no-store",
    ):
        assert lines.count(line) == 1
    assert sum(line.lower().startswith("content-security-policy") for line in lines) == 1
    assert not any(line.lower().startswith(("access-control-", "set-cookie")) for line in lines)


def test_no_other_answer_can_have_a_policy_or_a_cookie_of_its_own() -> None:
    """What an upstream says of both is dropped, as ever."""
    head = head_of(Response(200, (("Set-Cookie", "a=b"), ("Content-Security-Policy", "default-src *")))).decode()
    assert "a=b" not in head
    assert "default-src *" not in head
    assert "default-src 'none'; sandbox" in head


def test_nothing_is_inline_and_nothing_from_elsewhere() -> None:
    """No script, style or handler in the HTML, no address but our own; the only other name is that of SVG's grammar."""
    html = text("/")
    assert re.findall(r"<script[^>]*>([^<]*)</script>", html) == [""]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", html, re.IGNORECASE)
    for path in FILES:
        found = set(re.findall(r"(?:https?:)?//[\w.-]+", re.sub(r"(?m)^\s*//.*$|  // .*$", "", text(path))))
        assert found <= {"http://www.w3.org", "http://localhost"}, path
        assert "@import" not in text(path)
        assert "url(" not in text(path)


def test_no_script_makes_markup_or_code_of_a_text() -> None:
    """Elements are made one by one, and texts are put into them as texts."""
    for path in FILES:
        if path.endswith(".js"):
            for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(",
                         "setTimeout(\"", "srcdoc", "DOMParser", "createContextualFragment"):  # fmt: skip
                assert word not in text(path), f"{word} in {path}"


def test_every_import_of_a_script_is_there() -> None:
    """And none leads back to where it came from."""
    graph = {path: {f"/{name}" for name in re.findall(r'from "\./([\w.]+)"', text(path))} for path in FILES}
    assert set().union(*graph.values()) <= set(FILES)

    def visit(path: str, way: tuple[str, ...]) -> None:
        assert path not in way, f"a cycle: {' '.join((*way, path))}"
        for other in graph[path]:
            visit(other, (*way, path))

    visit("/app.js", ())
