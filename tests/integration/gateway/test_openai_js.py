"""The official JavaScript SDK against the gateway; `js/judge.mjs` calls it and reports, here it is judged."""

import asyncio
import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.integration.gateway.rich import CALL_WEATHER, OUTPUTS, RichRequests, rich_script
from tests.integration.gateway.serving import eventually, fake_served, serving

from omnipipe.coordinator.fake import Script, text_script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[3]
JUDGE = Path(__file__).parent / "js" / "judge.mjs"

NAMES = {
    "400": "BadRequestError",
    "401": "AuthenticationError",
    "404": "NotFoundError",
    "413": "APIError",
    "422": "UnprocessableEntityError",
    "429": "RateLimitError",
    "500": "InternalServerError",
    "503": "InternalServerError",
    "504": "InternalServerError",
}


def script(request: OmniRequest) -> Script:
    text = text_script(["Hello ", "wörld"]) if "text" in request.outputs else []
    if "audio" not in request.outputs:
        return text
    return [*text, Piece("audio", b"\1\0\2\0", False, None), Piece("audio", b"\3\0", True, {})]


async def output_of(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.timeout(400)  # the first run fetches the SDK
async def test_the_javascript_sdk_gets_what_it_types() -> None:
    modules = (await output_of(str(ROOT / "scripts" / "setup-js.sh"))).decode().strip()
    failing = [
        fake_served([RequestError(kind, "told to", param="p")], kind.value)[0]
        for kind in (
            ErrorKind.UNPROCESSABLE,
            ErrorKind.OVERLOADED,
            ErrorKind.INTERNAL,
            ErrorKind.UNAVAILABLE,
            ErrorKind.DEADLINE,
        )
    ]
    half = Piece("text", "half", False, None)
    breaks, _ = fake_served([half, RequestError(ErrorKind.INTERNAL, "broke")], "breaks")
    waits, left = fake_served([half, 60.0], "waits")
    echo, _ = fake_served(script)
    rich, _ = fake_served(rich_script, "rich", outputs=OUTPUTS, requests=RichRequests())
    extra, _ = fake_served((), "extra")
    settings = GatewaySettings(port=0, access_log=False, api_keys=("right",), max_body_bytes=1_000_000)
    async with serving([echo, rich, extra, breaks, waits, *failing], settings) as running:
        seen = json.loads(await output_of("node", str(JUDGE), f"{running.url}/v1", modules))
        await eventually(lambda: left.flights[0].end == "closed", "the request that was aborted is freed")
    check_chats(seen)
    check_completions(seen)
    check_audio(seen)
    check_tools(seen)
    check_vectors(seen)
    assert seen["deleted"] == {"id": "extra", "object": "model", "deleted": True}
    assert seen["models"][0]["id"] == "echo"
    assert seen["model"] == seen["models"][0]
    assert {status: error["name"] for status, error in seen["errors"].items()} == NAMES
    assert all(error["id"] and str(error["status"]) == status for status, error in seen["errors"].items())
    assert seen["errors"]["400"]["param"] == "temperature"
    assert seen["errors"]["404"]["code"] == "model_not_found"
    assert seen["broken"]["content"] == "half"
    assert (seen["broken"]["error"], "broke" in seen["broken"]["message"]) == ("APIError", True)


def check_chats(seen: dict[str, Any]) -> None:
    choice = seen["complete"]["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "Hello wörld", "refusal": None}
    assert (choice["finish_reason"], choice["logprobs"]) == ("stop", None)
    assert seen["complete"]["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
    deltas = [choice["delta"].get("content") for chunk in seen["chunks"] for choice in chunk["choices"]]
    assert deltas == ["", "Hello ", "wörld", None]
    assert seen["chunks"][-1]["usage"]["total_tokens"] == 4
    assert seen["helper"] == "Hello wörld"


def check_tools(seen: dict[str, Any]) -> None:
    function = {"name": "weather", "arguments": CALL_WEATHER}
    whole, streamed = seen["called"], seen["calledStream"]
    assert whole["message"]["content"] is None
    for choice in (whole, streamed):
        assert choice["finish_reason"] == "tool_calls"
        calls = choice["message"]["tool_calls"]
        assert [(call["id"], call["type"]) for call in calls] == [("call_0", "function"), ("call_1", "function")]
        assert [{**function, **call["function"]} for call in calls] == [call["function"] for call in calls]
        assert {call["function"]["arguments"] for call in calls} == {CALL_WEATHER}
    assert "".join(seen["callDeltas"]) == CALL_WEATHER * 2
    assert seen["answered"] == "Hello there"
    assert seen["thoughts"] == "Hm, well."
    assert [token["token"] for token in seen["logprobs"]["content"]] == ["Hé", "llo"]


def check_vectors(seen: dict[str, Any]) -> None:
    assert [item["embedding"] for item in seen["embeddings"]["data"]] == [[0.5] * 3, [1.5] * 3]
    assert [item["embedding"] for item in seen["floats"]["data"]] == [[0.5] * 2]
    assert seen["embeddings"]["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


def check_completions(seen: dict[str, Any]) -> None:
    assert [choice["text"] for choice in seen["completion"]["choices"]] == ["aHello wörld", "bHello wörld"]
    assert [choice["index"] for choice in seen["completion"]["choices"]] == [0, 1]
    texts = [choice["text"] for chunk in seen["completionChunks"] for choice in chunk["choices"]]
    assert "".join(texts) == "Hello wörld"


def check_audio(seen: dict[str, Any]) -> None:
    sound = base64.b64encode(b"\1\0\2\0\3\0").decode()
    assert seen["audio"]["data"] == sound
    assert seen["audio"]["transcript"] == "Hello wörld"
    assert seen["audioStream"] == {"data": sound, "transcript": "Hello wörld"}
    assert base64.b64decode(seen["audioFile"]).startswith(b"fLaC")
    assert seen["speech"]["type"] == "audio/wav"
    file = base64.b64decode(seen["speech"]["data"])
    assert (file[:4], file[44:]) == (b"RIFF", base64.b64decode(sound))
    *deltas, done = seen["speechEvents"]
    assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == file
    assert (done["type"], done["usage"]) == ("speech.audio.done", None)
