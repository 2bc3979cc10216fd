"""DELETE /v1/models/{id}: what runs finishes, nobody finds it any more, and the other models go on."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import pytest
from tests.integration.gateway.processes import echo_plan, echo_stages, gateway_process
from tests.integration.gateway.serving import DEADLINE_S, Running, eventually, fake_served, serving

from omnipipe.coordinator.fake import text_script
from omnipipe.coordinator.flight import Piece
from omnipipe.gateway.settings import GatewaySettings

CHAT = {"messages": [{"role": "user", "content": "x"}]}


def fetching(running: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=running.url, timeout=DEADLINE_S)


async def lists(raw: httpx.AsyncClient, *names: str) -> None:
    """Waits until the server lists these models alone."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            listed = (await raw.get("/v1/models")).json()["data"]
            if [model["id"] for model in listed] == list(names):
                return
            await asyncio.sleep(0.005)


async def test_a_deleted_model_is_gone_under_all_its_names_and_others_stay() -> None:
    first, fake = fake_served(text_script(["one"]), "a", "alias")
    second, _ = fake_served(text_script(["two"]), "b")
    async with serving([first, second]) as running, running.openai() as client:
        deleted = await client.models.delete("alias")
        assert (deleted.id, deleted.object, deleted.deleted) == ("alias", "model", True)
        for name in ("a", "alias"):
            with pytest.raises(openai.NotFoundError) as caught:
                await client.chat.completions.create(model=name, messages=[{"role": "user", "content": "x"}])
            assert caught.value.code == "model_not_found"
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve(name)
            with pytest.raises(openai.NotFoundError):
                await client.models.delete(name)
        assert [model.id async for model in client.models.list()] == ["b"]
        answer = await client.chat.completions.create(model="b", messages=[{"role": "user", "content": "x"}])
        assert answer.choices[0].message.content == "two"
        assert fake.health().draining
        async with fetching(running) as raw:
            assert (await raw.get("/readyz")).status_code == 200
            report = (await raw.get("/health")).json()
            assert (report["status"], [each["pipeline"] for each in report["pipelines"]]) == ("healthy", ["b"])


async def test_what_runs_finishes_first_and_is_not_in_the_others_way() -> None:
    gate = asyncio.Event()
    first, fake = fake_served([Piece("text", "half ", False, None), gate, Piece("text", "done", True, {})], "a")
    second, _ = fake_served((), "b")
    async with serving([first, second]) as running, running.openai() as client, fetching(running) as raw:
        stream = await client.chat.completions.create(model="a", stream=True, **CHAT)  # type: ignore[call-overload]
        said = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
        deletion = asyncio.create_task(client.models.delete("a"))
        await lists(raw, "b")
        refused = await raw.post("/v1/chat/completions", json={"model": "a", **CHAT})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
        report = (await raw.get("/health")).json()
        shown = {each["pipeline"]: (each["draining"], each["in_flight"]) for each in report["pipelines"]}
        assert (report["status"], shown) == ("healthy", {"a": (True, 1), "b": (False, 0)})
        assert (await raw.get("/readyz")).status_code == 200
        assert not deletion.done()
        gate.set()
        said += [choice.delta.content async for chunk in stream for choice in chunk.choices]
        assert (await deletion).deleted
    assert said == ["", "half ", "done", None]
    assert fake.flights[0].end == "result"


async def test_what_outlives_the_grace_is_ended() -> None:
    served, fake = fake_served([Piece("text", "half ", False, None), 60.0], "a")
    settings = GatewaySettings(port=0, access_log=False, grace_s=0.1)
    async with serving([served], settings) as running, running.openai() as client:
        stream = await client.chat.completions.create(model="a", stream=True, **CHAT)  # type: ignore[call-overload]
        await anext(stream)
        assert (await client.models.delete("a")).deleted
        with pytest.raises(openai.APIError, match="shutting down"):
            async for _ in stream:
                pass
    assert fake.flights[0].end == "error"


async def test_the_last_model_takes_readiness_with_it() -> None:
    served, _ = fake_served((), "a")
    async with serving([served]) as running, fetching(running) as raw:
        assert (await raw.delete("/v1/models/a")).json() == {"id": "a", "object": "model", "deleted": True}
        unready = await raw.get("/readyz")
        assert unready.status_code == 503
        assert unready.json()["error"]["message"] == "Not ready: every model that was served here has been deleted."
        report = (await raw.get("/health")).json()
        assert (report["status"], report["pipelines"]) == ("unhealthy", [])
        assert (await raw.get("/livez")).status_code == 200
        assert (await raw.get("/v1/models")).json()["data"] == []
        assert (await raw.post("/tokenize", json={"prompt": "x"})).status_code == 400


async def test_a_model_is_unloaded_after_its_last_request() -> None:
    gate = asyncio.Event()
    seen: list[str] = []

    async def unload() -> None:
        seen.append(fake.flights[0].end or "runs")

    served, fake = fake_served([gate, Piece("text", "x", True, {})], "a")
    async with serving([replace(served, unload=unload)]) as running, fetching(running) as raw:
        chat = asyncio.create_task(raw.post("/v1/chat/completions", json={"model": "a", **CHAT}))
        await eventually(lambda: fake.flights, "the request runs")
        deletion = asyncio.create_task(raw.delete("/v1/models/a"))
        await lists(raw)
        assert seen == []
        gate.set()
        assert (await chat).status_code == 200
        assert (await deletion).status_code == 200
    assert seen == ["result"]


async def test_deleting_needs_the_key_and_a_model() -> None:
    served, _ = fake_served((), "a")
    settings = GatewaySettings(port=0, access_log=False, api_keys=("k",))
    async with serving([served], settings) as running, fetching(running) as raw:
        assert (await raw.delete("/v1/models/a")).status_code == 401
        named = await raw.delete("/v1/models/nobody", headers={"authorization": "Bearer k"})
        assert (named.status_code, named.json()["error"]["code"]) == (404, "model_not_found")
        assert (await raw.delete("/v1/models", headers={"authorization": "Bearer k"})).status_code == 405


async def test_a_gateway_process_lets_go_of_its_stages_and_lives_on(tmp_path: Path) -> None:
    plan = echo_plan(tmp_path)
    async with echo_stages(plan, tmp_path), gateway_process(tmp_path) as gateway:
        await gateway.is_listening()
        async with httpx.AsyncClient(base_url=gateway.url, timeout=DEADLINE_S) as raw:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    answer = await raw.post("/v1/chat/completions", json={"model": "echo", **CHAT})
                    if answer.status_code == 200:
                        break
                    assert answer.status_code == 503, answer.text
                    await asyncio.sleep(0.05)
            assert (await raw.delete("/v1/models/echo")).json()["deleted"] is True
            assert (await raw.post("/v1/chat/completions", json={"model": "echo", **CHAT})).status_code == 404
            assert (await raw.get("/readyz")).status_code == 503
            assert (await raw.get("/metrics")).status_code == 200
        gateway.terminate()
        assert await gateway.ended() == 0
        assert b"Traceback" not in gateway.stderr
