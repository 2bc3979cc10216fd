"""The gateway as a process: it says when it listens, drains on SIGTERM, stops on the next, dies with its supervisor."""

import asyncio
import json
import signal
from pathlib import Path

import httpx
import openai
import pytest
from tests.integration.gateway.processes import echo_plan, echo_stages, gateway_process
from tests.integration.gateway.serving import DEADLINE_S

from omnipipe.gateway.server import GatewayError, open_listener
from omnipipe.gateway.settings import GatewaySettings

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


def slow(delay_ms: int) -> dict[str, object]:
    return {**CHAT, "stage_params": {"compose": {"delay_ms": delay_ms}}}


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.02)


async def test_an_echo_pipeline_answers_end_to_end(tmp_path: Path) -> None:
    plan = echo_plan(tmp_path)
    async with echo_stages(plan, tmp_path), gateway_process(tmp_path) as gateway:
        await gateway.is_listening()
        async with httpx.AsyncClient(base_url=gateway.url, timeout=DEADLINE_S) as http:
            await until_ready(http)
            exposition = (await http.get("/metrics")).text
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="-", max_retries=0) as client:
            answer = await client.chat.completions.create(
                model="echo", messages=[{"role": "user", "content": "one two three"}], max_tokens=2
            )
            assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("one two ", "length")
            assert answer.usage is not None
            assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 2)
            spoken = await client.chat.completions.create(
                model="echo",
                messages=[{"role": "user", "content": "la la"}],
                modalities=["text", "audio"],
                audio={"voice": "alloy", "format": "wav"},
            )
            assert spoken.choices[0].message.audio is not None
            assert spoken.choices[0].message.audio.transcript == "la la"
            with pytest.raises(openai.InternalServerError) as late:
                await client.chat.completions.create(
                    model="echo",
                    messages=[{"role": "user", "content": "x"}],
                    extra_body={"timeout": 0.2, "stage_params": {"words": {"delay_ms": 60_000}}},
                )
            assert late.value.status_code == 504
            with pytest.raises(openai.UnprocessableEntityError):
                await client.chat.completions.create(
                    model="echo",
                    messages=[{"role": "user", "content": "x"}],
                    extra_body={"stage_params": {"words": {"fail": "request"}}},
                )
        gateway.terminate()
        assert await gateway.ended() == 0
    assert "omnipipe_coordinator_in_flight" in exposition
    lines = [json.loads(line) for line in gateway.stdout.splitlines()]
    assert {line["path"] for line in lines} >= {"/readyz", "/v1/chat/completions"}
    assert lines[-1]["status"] == 422


async def test_sigterm_lets_running_requests_finish_and_admits_no_more(tmp_path: Path) -> None:
    plan = echo_plan(tmp_path)
    async with echo_stages(plan, tmp_path), gateway_process(tmp_path) as gateway:
        await gateway.is_listening()
        async with httpx.AsyncClient(base_url=gateway.url, timeout=DEADLINE_S) as client:
            await until_ready(client)
            running = asyncio.create_task(client.post("/v1/chat/completions", json=slow(1500)))
            await in_flight(client, 1)
            gateway.terminate()
            await unready(client)
            refused = await client.post("/v1/chat/completions", json=CHAT)
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            answer = await running
            assert answer.json()["choices"][0]["message"]["content"] == "one two three"
        assert await gateway.ended() == 0


async def test_a_lame_duck_serves_everybody_and_sends_them_elsewhere(tmp_path: Path) -> None:
    plan = echo_plan(tmp_path)
    async with echo_stages(plan, tmp_path), gateway_process(tmp_path, "--lame-duck-s", "8") as gateway:
        await gateway.is_listening()
        async with httpx.AsyncClient(base_url=gateway.url, timeout=DEADLINE_S) as client:
            await until_ready(client)
            running = asyncio.create_task(client.post("/v1/chat/completions", json=slow(4000)))
            await in_flight(client, 1)
            gateway.terminate()
            await unready(client)
            kept = await client.post("/v1/chat/completions", json=CHAT)
            assert kept.json()["choices"][0]["message"]["content"] == "one two three"
            assert kept.headers["connection"] == "close"
            async with client.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as stream:
                assert stream.headers["connection"] == "close"
                assert (await stream.aread()).endswith(b"data: [DONE]\n\n")
            assert (await running).json()["choices"][0]["message"]["content"] == "one two three"
        assert await gateway.ended() == 0


async def test_what_outlives_the_grace_period_ends_in_an_error(tmp_path: Path) -> None:
    plan = echo_plan(tmp_path)
    async with echo_stages(plan, tmp_path), gateway_process(tmp_path, "--grace-s", "0.2") as gateway:
        await gateway.is_listening()
        async with httpx.AsyncClient(base_url=gateway.url, timeout=DEADLINE_S) as client:
            await until_ready(client)
            running = asyncio.create_task(client.post("/v1/chat/completions", json=slow(60_000)))
            await in_flight(client, 1)
            gateway.terminate()
            assert (await running).status_code == 503
        assert await gateway.ended() == 4


@pytest.mark.parametrize("end", ["second signal", "lifeline"])
async def test_a_second_signal_or_a_dead_supervisor_stops_it_now(tmp_path: Path, end: str) -> None:
    plan = echo_plan(tmp_path)
    async with echo_stages(plan, tmp_path), gateway_process(tmp_path) as gateway:
        await gateway.is_listening()
        async with httpx.AsyncClient(base_url=gateway.url, timeout=DEADLINE_S) as client:
            await until_ready(client)
            running = asyncio.create_task(client.post("/v1/chat/completions", json=slow(60_000)))
            await in_flight(client, 1)
            if end == "lifeline":
                gateway.lifeline.close()
            else:
                gateway.terminate()
                await unready(client)
                gateway.process.send_signal(signal.SIGINT)
            assert await gateway.ended() == 4
            try:
                assert (await running).status_code == 503
            except httpx.HTTPError:
                pass  # or it was cut off: nobody is left to answer for


async def test_it_listens_before_its_stages_are_there(tmp_path: Path) -> None:
    echo_plan(tmp_path)
    async with gateway_process(tmp_path, env={"OMNIPIPE_API_KEYS": "k"}) as gateway:
        await gateway.is_listening()
        async with httpx.AsyncClient(base_url=gateway.url, timeout=DEADLINE_S) as client:
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 401
        gateway.terminate()
        assert await gateway.ended() == 0
    assert b"Traceback" not in gateway.stderr


def test_a_port_that_is_taken_is_one_readable_line() -> None:
    with open_listener(GatewaySettings(port=0)) as listener:
        taken = GatewaySettings(port=listener.getsockname()[1])
        with pytest.raises(GatewayError, match=r"cannot listen on 127\.0\.0\.1 port \d+: Address already in use"):
            open_listener(taken)


async def in_flight(client: httpx.AsyncClient, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await client.get("/health")).json()["pipelines"][0]["in_flight"] != count:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)


async def unready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await client.get("/readyz")).status_code != 503:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.005)
