"""A request's media come from where they are allowed to, within the limits, or the part at fault is named."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.media.samples import picture, save, sound

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.requests import Message, Part, TextRequest
from omnipipe.gateway.media import MediaResolver
from omnipipe.gateway.media.errors import Refused
from omnipipe.spec.plan import GatewayPlan, MediaPlan, Plan, TransportPlan

PNG = save(picture(), "PNG")
WAV = sound("wav")


def resolver(fetch: Any = None, *, message_bytes: int = 256 << 20, **media: Any) -> MediaResolver:
    plan = Plan(
        pipeline="demo",
        revision="r",
        family="echo",
        stages=(),
        edges=(),
        outputs=(),
        gateway=GatewayPlan(served_names=("demo",), media=MediaPlan(**media)),
        transport=TransportPlan(max_message_bytes=message_bytes),
    )
    return MediaResolver(plan, fetch)


def asked(*parts: Part) -> TextRequest:
    text = Message("user", (Part("text", "before"),))
    return TextRequest("chat", (text, Message("user", (Part("text", "look"), *parts))), frozenset({"text"}))


def image(url: str = "", data: bytes = b"", number: int = 0) -> Part:
    return Part("image", url=url, data=data, path=f"messages[1].content[{number}].image_url.url")


async def brought(resolve: MediaResolver, *parts: Part) -> list[Part]:
    found = await resolve.resolve(asked(*parts))
    assert [part.text for part in found.messages[0].parts] == ["before"]
    assert found.messages[1].parts[0] == Part("text", "look")
    return list(found.messages[1].parts[1:])


async def refusal(resolve: MediaResolver, *parts: Part, at: int = 0) -> str:
    with pytest.raises(RequestError) as caught:
        await resolve.resolve(asked(*parts))
    assert caught.value.kind is ErrorKind.INVALID
    assert caught.value.param == parts[at].path
    return caught.value.message.removeprefix(f"'{parts[at].path}' ")


def serving(pages: dict[str, bytes]) -> Callable[[str, int], Any]:
    async def fetch(url: str, max_bytes: int) -> bytes:
        await asyncio.sleep(0)
        if url not in pages:
            raise Refused("could not be fetched: its host answered with status 404")
        return pages[url]

    return fetch


async def test_text_is_handed_back_as_it_came() -> None:
    request = asked()

    assert await resolver().resolve(request) is request


async def test_what_came_with_the_request_stays() -> None:
    part = image(data=PNG)

    assert await brought(resolver(), part) == [part]


async def test_urls_become_bytes_in_place() -> None:
    fetch = serving({"https://a.example/1": PNG, "https://a.example/2": WAV})
    data = image("data:image/png,%89PNG%0D%0A%1A%0A", number=1)
    parts = [image("https://a.example/1"), data, Part("audio", url="https://a.example/2", path="audio")]

    found = await brought(resolver(fetch, allowed_hosts=["a.example"]), *parts)

    assert [part.data for part in found] == [PNG, b"\x89PNG\r\n\x1a\n", WAV]
    assert [part.url for part in found] == ["", "", ""]
    assert [part.path for part in found] == [part.path for part in parts]


async def test_nothing_is_fetched_unless_it_is_allowed() -> None:
    closed = resolver(serving({"https://a.example/1": PNG}))

    assert (await refusal(closed, image("https://a.example/1"))).startswith(
        "is an https: URL, which this server does not"
    )
    assert (await refusal(closed, image("file:///etc/hosts"))).startswith("is a file: URL, which this server does not")
    assert (await refusal(closed, image("ftp://a.example/1"))).startswith("must be a data: URL")


async def test_what_is_fetched_must_be_media_of_its_kind() -> None:
    fetch = serving(
        {"http://a/html": b"<html>", "http://a/wav": WAV, "http://a/none": b"", "http://a/env": b"KEY=secret"}
    )
    open_ = resolver(fetch, allowed_hosts=["*"])

    assert (
        await refusal(open_, image("http://a/html"))
        == "holds an HTML page, not an image in a format that is read here."
    )
    assert await refusal(open_, image("http://a/env")) == "holds text, not an image in a format that is read here."
    assert await refusal(open_, image("http://a/wav")) == "holds audio/wav, which is not an image."
    assert await refusal(open_, image("http://a/none")) == "is empty."
    assert await refusal(open_, image("http://a/gone")) == "could not be fetched: its host answered with status 404."


async def test_the_part_that_fails_is_named() -> None:
    fetch = serving({"http://a/1": PNG})
    parts = [image("http://a/1"), image("http://a/2", number=1), image(data=PNG, number=2)]

    assert await refusal(resolver(fetch, allowed_hosts=["*"]), *parts, at=1)


async def test_items_and_bytes_are_counted() -> None:
    fetch = serving({"http://a/1": PNG})
    size = len(PNG)

    assert "limit is 2 a request" in await refusal(resolver(max_items=2), *(image(data=PNG) for _ in range(3)), at=2)
    assert "limit is 5" in await refusal(resolver(max_bytes=5), image(data=PNG))
    two = [image("http://a/1"), image(data=PNG, number=1)]
    assert "together" in await refusal(resolver(fetch, allowed_hosts=["*"], max_total_bytes=2 * size - 1), *two)
    assert len(await brought(resolver(fetch, allowed_hosts=["*"], max_total_bytes=2 * size), *two)) == 2
    assert "together" in await refusal(resolver(message_bytes=(1 << 20) + size - 1), image(data=PNG))


async def test_one_time_limit_for_all() -> None:
    async def never(url: str, max_bytes: int) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    parts = [image("http://a/1", number=number) for number in range(9)]
    slow = resolver(never, allowed_hosts=["*"], fetch_timeout_s=0.05)

    with pytest.raises(RequestError, match=r"could not be fetched within 0\.05 seconds"):
        await slow.resolve(asked(*parts))


async def test_only_a_few_at_once_and_none_after_the_client_left() -> None:
    running = most = 0
    full = asyncio.Event()

    async def never(url: str, max_bytes: int) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 4:
            full.set()
        try:
            await asyncio.Event().wait()
        finally:
            running -= 1
        raise AssertionError

    open_ = resolver(never, allowed_hosts=["*"])
    task = asyncio.create_task(open_.resolve(asked(*(image("http://a/1", number=number) for number in range(9)))))
    await full.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (running, most) == (0, 4)


async def test_stages_are_told_of_limits_that_are_not_the_usual_ones() -> None:
    usual = await resolver().resolve(asked(image(data=PNG)))
    own = await resolver(max_seconds=60.0, max_pixels=1000).resolve(asked(image(data=PNG)))

    assert usual.media_limits == {}
    assert own.media_limits == {"max_seconds": 60.0, "max_pixels": 1000}


async def test_files_below_allowed_folders(tmp_path: Path) -> None:
    folder, secret = tmp_path / "media", tmp_path / "secret.png"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a b.png").write_bytes(PNG)
    secret.write_bytes(PNG)
    (folder / "link.png").symlink_to(secret)
    (folder / "circle.png").symlink_to(folder / "circle.png")
    os.mkfifo(folder / "pipe.png")
    own = resolver(allowed_folders=[str(folder)], max_bytes=len(PNG))

    [found] = await brought(own, image(f"file://{folder}/deep/a%20b.png"))
    assert found.data == PNG
    for path in (
        "/secret.png", "/media/../secret.png", "/media/%2e%2e/secret.png", "/media/link.png", "/media/circle.png",
        "/media/pipe.png", "/media/deep", "/media/none.png", "/media/a%00b", "/media", "x",
    ):  # fmt: skip
        assert (await refusal(own, image(f"file://{tmp_path}{path}"))).startswith(
            "is not a file that this server may read"
        )
    assert (await refusal(own, image(f"file://host{folder}/deep/a%20b.png"))).startswith("is not a file")
    (folder / "large.png").write_bytes(PNG + b"x")
    assert (await refusal(own, image(f"file://{folder}/large.png"))).startswith("is too large")
