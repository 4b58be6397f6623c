"""The Hub's address: https or this machine, one spelling, and refused without being repeated."""

from __future__ import annotations

import pytest

from hublet.core.address import is_loopback, parse_hub_url


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://api.continue.dev", "https://api.continue.dev"),
        ("HTTPS://API.Continue.dev/", "https://api.continue.dev"),
        ("https://hub.example:8443/base/", "https://hub.example:8443/base"),
        ("http://localhost:3100", "http://localhost:3100"),
        ("http://hub.localhost", "http://hub.localhost"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
    ],
)
def test_the_hubs_address_is_https_or_this_machine(text: str, read: str) -> None:
    """Read the same however it was written, and reading it again changes nothing."""
    assert parse_hub_url(text) == read == parse_hub_url(read)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "api.continue.dev",
            "//api.continue.dev",
            "ftp://x",
            "https://",
            "https:///x",
            "https://:443",
            "https://x:0",
        ),
        *("https://x:", "https://x:99999", "https://x:a", "https://[::1", "https://[fe80::1%25eth0]", "https://a..b"),
        *(
            "http://api.continue.dev",
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
        ),
        *(
            "https://user@x",
            "https://user:canary@x",
            "https://@x",
            "https://x?",
            "https://x?a=b",
            "https://x#",
            "https://x/#f",
        ),
        *(
            "https://x y",
            "https://x\t",
            "https://x\n.evil",
            "https://x\\@y",
            "https://hüb.example",
            "https://x\0",
            "https://*.x",
        ),
    ],
)
def test_other_addresses_are_refused_without_being_repeated(text: str) -> None:
    """The text may hold a password."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_hub_url(text)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "example.com", "127.1", "localhostx", "", "::2"])
def test_what_only_looks_like_this_machine_is_not(host: str) -> None:
    """Only what can't be anything else."""
    assert not is_loopback(host)
