"""Who can fetch a URL, as far as it tells by itself."""

from __future__ import annotations

import re

import pytest

from qqmedia import Reach, own_url, reach_of

PRIVATE = [
    "http://127.0.0.1:8086/a", "http://localhost/a", "http://LOCALHOST./a", "http://a.localhost/", "http://[::1]:80/",
    "http://10.1.2.3/", "http://192.168.1.2/", "http://172.31.0.1/", "http://169.254.1.1/", "http://[fe80::1%25eth0]/",
    "http://100.64.3.4/", "http://0.0.0.0/", "http://[::ffff:192.168.0.1]/", "http://[", "http:///x", "",
    "http://nas/a", "http://nas.local/a", "http://bot.internal:8086/", "http://router.lan./", "http://x.home.arpa/",
    "http://[3fff::1]/", "http://[64:ff9b:1::7f00:1]/",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
def test_plainly_private(url: str) -> None:
    assert reach_of(url, platform_on_loopback=False) is Reach.PRIVATE


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "http://192.168.0.1/"])
def test_a_platform_on_this_machine_reaches_what_this_machine_reaches(url: str) -> None:
    assert reach_of(url, platform_on_loopback=True) is Reach.PUBLIC


@pytest.mark.parametrize("url", ["http://93.184.216.34/x", "https://[2606:2800:220:1::1]/x"])
def test_plainly_public(url: str) -> None:
    assert reach_of(url, platform_on_loopback=False) is Reach.PUBLIC


@pytest.mark.parametrize("url", ["https://example.org/", "http://local.example:8086/", "https://图.example/"])
def test_only_a_resolver_could_tell(url: str) -> None:
    assert reach_of(url, platform_on_loopback=False) is Reach.UNKNOWN


@pytest.mark.parametrize(
    ("host", "tls", "on_loopback", "url"),
    [
        ("10.0.0.7", False, False, r"http://10\.0\.0\.7:8086"),
        ("nas.example", True, False, r"https://nas\.example:8086"),
        ("::1", False, True, r"http://\[::1\]:8086"),
        ("0.0.0.0", False, True, r"http://127\.0\.0\.1:8086"),
        ("", True, True, r"https://127\.0\.0\.1:8086"),
        ("0.0.0.0", False, False, r"http://(?!0\.)[0-9.]+:8086"),
        ("", False, False, r"http://(?!0\.)[0-9.]+:8086"),
        ("::", False, False, r"http://([0-9.]+|\[[0-9a-f]+:[0-9a-f:]+\]):8086"),
    ],
)
def test_a_server_of_this_machine_is_found_by_its_host_or_by_the_default_route(
    host: str, tls: bool, on_loopback: bool, url: str
) -> None:
    assert re.fullmatch(url, own_url(host, 8086, tls=tls, platform_on_loopback=on_loopback))
