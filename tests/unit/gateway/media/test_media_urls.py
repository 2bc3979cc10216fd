"""URLs are read strictly, and in one way only."""

import pytest

from omnipipe.gateway.media.errors import Refused
from omnipipe.gateway.media.urls import data_url, host_allowed, web_target


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://example.com", "example.com", "/"),
        ("http://Example.COM./a/b?c=d#e", "example.com", "/a/b?c=d"),
        ("https://example.com:443/a", "example.com", "/a"),
        ("https://example.com:8443/a", "example.com:8443", "/a"),
        ("http://[2A00::1]:8080/a", "[2a00::1]:8080", "/a"),
        ("https://example.com?q=1", "example.com", "/?q=1"),
        ("https://example.com/a%20b/ä?x=ö&y=[1]", "example.com", "/a%20b/%C3%A4?x=%C3%B6&y=[1]"),
        ("https://bücher.example/a", "xn--bcher-kva.example", "/a"),
    ],
)
def test_targets(url: str, authority: str, path: str) -> None:
    target = web_target(url)

    assert (target.authority, target.path) == (authority, path)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a", "gopher://example.com", "//example.com/a", "example.com/a", "http:///a", "http://", "http://:80/",
        "https://user:secret@example.com/", "https://user@example.com/", "https://example.com\\@evil.example/",
        "https://example.com /", "https://exam\nple.com/", "https://example.com/a\r\nHost: b", "https://example.com:0/",
        "https://example.com:99999/", "https://example.com:port/", "https://-a-.example/", "https://a..b/", "https://[::1/",
        "https://[fe80::1%25eth0]/", "https://ex%61mple.com/", "https://" + "a" * 300,
        "https://example.com/" + "a" * 9000,
        "https://example.com＠evil.example/",
    ],
)  # fmt: skip
def test_no_targets(url: str) -> None:
    with pytest.raises(Refused):
        web_target(url)


def test_redirects() -> None:
    target = web_target("https://example.com:8443/a/b?c")

    assert target.redirected("d?e").url == "https://example.com:8443/a/d?e"
    assert target.redirected("/f").url == "https://example.com:8443/f"
    assert target.redirected("//other.example/g").url == "https://other.example/g"
    assert target.redirected("https://other.example").url == "https://other.example/"
    for refused in (
        "http://example.com/",
        "file:///etc/passwd",
        "ftp://a/",
        "https://u:p@example.com/",
        "https://a b/",
    ):
        with pytest.raises(Refused):
            target.redirected(refused)
    assert web_target("http://example.com").redirected("https://example.com/").url == "https://example.com/"


def test_hosts() -> None:
    assert host_allowed("media.example.com", ["media.example.com"])
    assert host_allowed("a.b.example.com", ["x.org", "*.example.com"])
    assert host_allowed("anything.at.all", ["*"])
    assert not host_allowed("example.com", ["*.example.com"])
    assert not host_allowed("badexample.com", ["*.example.com"])
    assert not host_allowed("media.example.com.evil.org", ["media.example.com", "*.example.com"])
    assert not host_allowed("media.example.com", [])


@pytest.mark.parametrize(
    ("url", "data"),
    [
        ("data:image/png;base64,aGk=", b"hi"),
        ("DATA:;BASE64,aGk=", b"hi"),
        ("data:audio/wav;codecs=1;base64,aGk%3D", b"hi"),
        ("data:,a%20b", b"a b"),
        ("data:image/svg+xml;charset=utf-8,%00%ff", b"\0\xff"),
        ("data:image/png;base64,", b""),
    ],
)
def test_data_urls(url: str, data: bytes) -> None:
    assert data_url(url, 100) == data


@pytest.mark.parametrize(
    "url", ["data:", "data:image/png", "data:image/png;base64,a", "data:;base64,ä", "data:;base64,aGk=="]
)
def test_no_data_urls(url: str) -> None:
    with pytest.raises(Refused):
        data_url(url, 100)


def test_data_urls_are_measured_before_they_are_unpacked() -> None:
    with pytest.raises(Refused, match="limit is 3 bytes"):
        data_url("data:;base64," + "A" * 100, 3)
    with pytest.raises(Refused, match="limit is 3 bytes"):
        data_url("data:," + "A" * 100, 3)
