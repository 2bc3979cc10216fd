"""Media by URL through the whole gateway, from the OpenAI SDK to what the pipeline is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionContentPartParam
from tests.integration.gateway.media.hostile import answer, hostile, redirect
from tests.integration.gateway.rich import RichRequests
from tests.integration.gateway.serving import fake_plan, serving
from tests.unit.media.samples import picture, save, sound

from omnipipe.coordinator.fake import FakeCoordinator, text_script
from omnipipe.families.requests import MediaKind
from omnipipe.gateway.media import MediaResolver
from omnipipe.gateway.served import Served
from omnipipe.spec.plan import MediaPlan

PNG = save(picture(), "PNG")
WAV = sound("wav")


class SeeingRequests(RichRequests):
    media: frozenset[MediaKind] = frozenset({"image", "audio", "video"})


def served(**media: Any) -> tuple[Served, FakeCoordinator]:
    plan = fake_plan("rich", outputs=("text",))
    gateway = plan.gateway.model_copy(update={"media": MediaPlan(**media)})
    plan = plan.model_copy(update={"gateway": gateway})
    coordinator = FakeCoordinator(plan, text_script(["seen"]))
    return Served(plan, coordinator, SeeingRequests(), media=MediaResolver(plan)), coordinator


async def ask(client: openai.AsyncOpenAI, parts: Sequence[ChatCompletionContentPartParam]) -> str | None:
    asked = await client.chat.completions.create(model="rich", messages=[{"role": "user", "content": parts}])
    return asked.choices[0].message.content


def by_url(url: str) -> ChatCompletionContentPartParam:
    return {"type": "image_url", "image_url": {"url": url}}


async def test_what_is_fetched_reaches_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(PNG + b"file")
    pipeline, fake = served(
        allowed_hosts=("127.0.0.1",),
        allowed_networks=("127.0.0.1/32",),
        allowed_folders=(str(tmp_path),),
        max_pixels=4000,
    )
    async with hostile() as web, serving([pipeline]) as running, running.openai() as client:
        web.pages = {"/a": redirect("/b"), "/b": answer(PNG + b"web")}
        parts = [
            by_url(f"http://127.0.0.1:{web.port}/a"),
            by_url((tmp_path / "b.png").as_uri()),
            by_url("data:,GIF89a"),
        ]

        assert await ask(client, parts) == "seen"

    [asked] = fake.submitted
    sent = asked.value["messages"][0]["parts"]
    assert [part["data"] for part in sent] == [PNG + b"web", PNG + b"file", b"GIF89a"]
    assert asked.value["media_limits"] == {"max_pixels": 4000}


async def test_what_is_refused_is_a_400_that_names_the_part() -> None:
    pipeline, fake = served(allowed_hosts=("*",), allowed_networks=("127.0.0.1/32",), max_items=2)
    async with hostile() as web, serving([pipeline]) as running, running.openai() as client:
        web.pages = {"/key": answer(b"AKIA..."), "/in": redirect("http://169.254.169.254/"), "/wav": answer(WAV)}
        here = f"http://127.0.0.1:{web.port}"
        for url, message in (
            (f"{here}/key", "holds text, not an image in a format that is read here."),
            (f"{here}/wav", "holds audio/wav, which is not an image."),
            (f"{here}/in", "could not be fetched: its host has no public address."),
            ("http://127.0.0.2:1/", "could not be fetched: its host has no public address."),
            (
                "file:///etc/hostname",
                "is a file: URL, which this server does not fetch. Send a base64 data: URL instead.",
            ),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                await ask(client, [{"type": "text", "text": "?"}, by_url(url)])
            path = "messages[0].content[1].image_url.url"
            assert (caught.value.param, caught.value.code) == (path, "invalid_media")
            assert message in caught.value.message
        with pytest.raises(openai.BadRequestError, match="one piece of media too many: the limit is 2 a request"):
            await ask(client, [by_url("data:,GIF89a")] * 3)

    assert fake.submitted == []
