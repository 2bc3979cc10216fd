"""Fetching from web servers that mean no good: nothing inside is touched, nothing is unbounded, and the client hears
one sentence. 127.0.0.1 stands for the public internet here, 127.0.0.2 for what is inside."""

import asyncio
import gzip
import itertools
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network

import pytest
from tests.integration.gateway.media.hostile import Answer, Hostile, answer, hostile, redirect

from omnipipe.errors import RequestError
from omnipipe.families.requests import Message, Part, TextRequest
from omnipipe.gateway.media import MediaResolver
from omnipipe.gateway.media.errors import Refused
from omnipipe.gateway.media.fetch import Fetcher
from omnipipe.spec.plan import GatewayPlan, MediaPlan, Plan

PUBLIC = "127.0.0.1"
INSIDE = "127.0.0.2"
NAMES = {
    "site.example": [PUBLIC],
    "other.example": [PUBLIC],
    "inside.example": [INSIDE],
    "half.example": [PUBLIC, INSIDE],
}


async def names(host: str, port: int) -> Sequence[str]:
    return NAMES.get(host, [host])


def fetcher(*hosts: str, lookup: Callable[[str, int], Awaitable[Sequence[str]]] = names) -> Fetcher:
    return Fetcher(hosts or ("*",), [ip_network(f"{PUBLIC}/32")], lookup=lookup)


async def fetched(web: Hostile, path: str = "/", host: str = "site.example", limit: int = 100_000) -> bytes:
    async with asyncio.timeout(60):
        return await fetcher().fetch(f"http://{host}:{web.port}{path}", limit)


async def refusal(web: Hostile, path: str = "/", host: str = "site.example", limit: int = 100_000) -> str:
    with pytest.raises(Refused) as caught:
        await fetched(web, path, host, limit)
    text = str(caught.value)
    assert PUBLIC not in text and INSIDE not in text and "Errno" not in text
    return text


async def test_a_plain_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.2:9")
    async with hostile() as web:
        web.pages["/a%20b?c=d"] = answer(b"x" * 70_000, "Set-Cookie: a=b")

        assert await fetched(web, "/a%20b?c=d") == b"x" * 70_000

    [head] = web.heads
    sent = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
    assert sent == {
        "Host": f"site.example:{web.port}",
        "User-Agent": "omnipipe",
        "Accept": "image/*, audio/*, video/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


async def test_answers_of_other_forms() -> None:
    async def chunked(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        writer.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    async def until_the_end(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nabcde")

    async with hostile() as web:
        web.pages = {
            "/1": chunked,
            "/2": until_the_end,
            "/3": answer(gzip.compress(b"abcde"), "Content-Encoding: gzip"),
        }

        for path in web.pages:
            assert await fetched(web, path) == b"abcde"


async def test_redirects_are_followed_a_few_times() -> None:
    async with hostile() as web:
        web.pages = {
            "/0": redirect("/1", "301 Moved"),
            "/1": redirect("2", "307 Temporary Redirect"),
            "/2": redirect(f"http://other.example:{web.port}/3", "308 Permanent Redirect"),
            "/3": answer(b"here"),
            "/-1": redirect("/0"),
            "/circle": redirect("/circle"),
        }

        assert await fetched(web, "/0") == b"here"
        assert await refusal(web, "/-1") == "could not be fetched: it redirects more than 3 times"
        assert await refusal(web, "/circle") == "could not be fetched: it redirects more than 3 times"
        assert f"Host: other.example:{web.port}" in web.heads[3]


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/", "http://inside.example:{port}/", "http://127.0.0.2:{port}/", "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.2]:{port}/", "http://[64:ff9b::7f00:2]:{port}/", "http://0.0.0.0:{port}/", "http://localhost:{port}/",
        "http://half.example:{port}/", "//10.0.0.1/", "file:///etc/passwd", "ftp://site.example/", "http://a:b@site.example/",
    ],
)  # fmt: skip
async def test_redirects_do_not_lead_inside(location: str) -> None:
    async with hostile() as web, hostile(INSIDE, web.port) as inside:
        web.pages["/"] = redirect(location.format(port=web.port))
        inside.pages["/"] = answer(b"secret")

        await refusal(web)
        assert inside.connections == 0
        assert web.connections == 1


async def test_redirects_stay_on_allowed_hosts() -> None:
    async with hostile() as web:
        web.pages = {
            "/": redirect(f"http://other.example:{web.port}/"),
            "/ok": redirect("/there"),
            "/there": answer(b"x"),
        }
        only = fetcher("site.example")

        assert await only.fetch(f"http://site.example:{web.port}/ok", 10) == b"x"
        with pytest.raises(Refused, match="does not fetch from its host"):
            await only.fetch(f"http://site.example:{web.port}/", 10)
        with pytest.raises(Refused, match="does not fetch from its host"):
            await only.fetch(f"http://other.example:{web.port}/there", 10)
        assert web.connections == 3


async def test_a_name_that_changes_its_mind() -> None:
    """DNS rebinding: the first answer is harmless. It is asked once a hop, and what it said then is connected to."""
    asked = 0

    async def lookup(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return [PUBLIC] if asked == 1 else [INSIDE]

    async with hostile() as web, hostile(INSIDE, web.port) as inside:
        web.pages = {"/": answer(b"harmless"), "/again": redirect("/")}
        inside.pages = {"/": answer(b"secret")}

        assert await fetcher(lookup=lookup).fetch(f"http://site.example:{web.port}/", 100) == b"harmless"
        assert asked == 1
        asked = 0
        with pytest.raises(Refused, match="no public address"):
            await fetcher(lookup=lookup).fetch(f"http://site.example:{web.port}/again", 100)
        assert inside.connections == 0


@pytest.mark.parametrize("host", ["2130706434", "0x7f.2", "127.2", "017700000002", "0", "localhost"])
async def test_addresses_written_in_odd_ways(host: str) -> None:
    """The system's resolver understands them; what it makes of them is checked."""
    async with hostile(INSIDE) as inside:
        inside.pages["/"] = answer(b"secret")
        with pytest.raises(Refused):
            await Fetcher(("*",), [ip_network("127.0.0.1/32")] if host == "127.2" else []).fetch(
                f"http://{host}:{inside.port}/", 9
            )
        assert inside.connections == 0


async def test_the_next_address_is_tried() -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.3", PUBLIC]

    async with hostile() as web:
        web.pages["/"] = answer(b"x")
        both = Fetcher(("*",), [ip_network("127.0.0.0/8")], lookup=lookup)

        assert await both.fetch(f"http://site.example:{web.port}/", 10) == b"x"
    with pytest.raises(Refused, match="no connection to its host"):
        await both.fetch(f"http://site.example:{web.port}/", 10)


async def forever(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(1 << 14))
        await writer.drain()


async def test_sizes_are_counted_whatever_is_said_of_them() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    zipped = "Content-Encoding: gzip"

    async def bomb_without_end(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{zipped}\r\n\r\n".encode() + gzip.compress(b"x"))
        while True:
            writer.write(bytes(1 << 14))
            await writer.drain()

    async with hostile() as web:
        web.pages = {
            "/endless": forever, "/bomb": answer(bomb, zipped), "/endless-bomb": bomb_without_end,
            "/huge": answer(b"", length=10**18), "/even": answer(bytes(10_000)), "/odd": answer(bytes(10_001)),
            "/more": answer(b"abcdefgh", length=3),
        }  # fmt: skip

        for path in ("/endless", "/bomb", "/endless-bomb", "/huge", "/odd"):
            assert await refusal(web, path, limit=10_000) == "is too large: the limit is 10000 bytes"
        assert await fetched(web, "/even", limit=10_000) == bytes(10_000)
        assert await fetched(web, "/more") == b"abc"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (answer(b"x", status="404 Not Found"), "answered with status 404"),
        (answer(b"", status="204 No Content"), "answered with status 204"),
        (answer(b"x", status="304 Not Modified"), "answered with status 304"),
        (answer(b"x", status="206 Partial Content"), "answered with status 206"),
        (answer(b"abc", length=5), "broke the answer off"),
        (answer(gzip.compress(b"abc")[:-9], "Content-Encoding: gzip"), "broke the answer off"),
        (answer(b"no gzip", "Content-Encoding: gzip"), "broke the answer off"),
        (answer(b"x", "Content-Encoding: br"), "packs it in a way that is not read here"),
        (answer(b"x", "Content-Length: 7"), "broke the answer off"),
        (answer(b"x", "Transfer-Encoding: gzip, chunked"), "broke the answer off"),
        (answer(b"x", *(f"X-{n}: {'y' * 500}" for n in range(1000))), "broke the answer off"),
    ],
)
async def test_answers_that_are_none(said: Answer, message: str) -> None:
    async with hostile() as web:
        web.pages["/"] = said

        assert (await refusal(web)).startswith(f"could not be fetched: its host {message}")


async def test_servers_that_do_not_speak_http() -> None:
    async def silence(writer: asyncio.StreamWriter) -> None:
        pass

    async def other(writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n" * 9)

    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with hostile() as web:
        web.pages = {"/1": silence, "/2": other, "/3": reset}

        for path in web.pages:
            assert "could not be fetched: its host" in await refusal(web, path)


def resolver(timeout_s: float) -> MediaResolver:
    media = MediaPlan(allowed_hosts=("*",), fetch_timeout_s=timeout_s)
    plan = Plan(
        pipeline="demo", revision="r", family="echo", stages=(), edges=(), outputs=(),
        gateway=GatewayPlan(served_names=("demo",), media=media),
    )  # fmt: skip
    return MediaResolver(plan, fetcher().fetch)


def asking(web: Hostile, *paths: str) -> TextRequest:
    parts = [
        Part("image", url=f"http://site.example:{web.port}{path}", path=f"images[{n}]") for n, path in enumerate(paths)
    ]
    return TextRequest("chat", (Message("user", tuple(parts)),), frozenset({"text"}))


async def drip(writer: asyncio.StreamWriter) -> None:
    for letter in itertools.chain(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", itertools.repeat(0)):
        writer.write(bytes([letter]))
        await writer.drain()
        await asyncio.sleep(0.005)


async def hints(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.005)


async def stare(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("slow", [drip, hints, stare])
async def test_slow_servers_have_as_long_as_all_others_together(slow: Answer) -> None:
    async with hostile() as web:
        web.pages["/"] = slow

        with pytest.raises(RequestError, match=r"^'images\[\d\]' could not be fetched within 0\.4 seconds"):
            await resolver(0.4).resolve(asking(web, *["/"] * 7))


async def test_a_client_that_leaves_ends_its_fetches() -> None:
    async with hostile() as web:
        web.pages = {"/": forever}
        began = asyncio.Event()

        async def stalled(writer: asyncio.StreamWriter) -> None:
            began.set()
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                await asyncio.sleep(0.01)
                writer.write(b"x")
                await writer.drain()

        web.pages["/"] = stalled
        task = asyncio.create_task(resolver(60).resolve(asking(web, "/")))
        async with asyncio.timeout(60):
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await web.left.wait()
