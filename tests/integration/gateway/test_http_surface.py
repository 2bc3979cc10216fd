"""The routes beside the models, and what holds for all of them: envelope, request id, keys, methods, CORS, counting."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.gateway.serving import DEADLINE_S, Running, fake_served, sample, serving

from omnipipe.coordinator.fake import Script, text_script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.wire.value import Value

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}


@asynccontextmanager
async def fetching(running: Running, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=running.url, timeout=DEADLINE_S, headers=named) as client:
        yield client


def error_of(response: httpx.Response) -> dict[str, Value]:
    document = response.json()
    assert set(document) == {"error"}
    assert set(document["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Value] = document["error"]
    return error


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nope", 404, None),
        ("GET", "/v1/models/", 404, None),
        ("GET", "/v1/models/a/b?c=d", 404, None),
        ("GET", "/docs", 404, None),
        ("POST", "/v1/models", 405, "GET, HEAD"),
        ("DELETE", "/health", 405, "GET, HEAD"),
        ("PUT", "/v1/models/echo", 405, "DELETE, GET, HEAD"),
        ("GET", "/v1/embeddings", 405, "POST"),
        ("GET", "/tokenize", 405, "POST"),
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("PUT", "/v1/completions", 405, "POST"),
        ("POST", "/v1/chat/completions/", 404, None),
    ],
)
async def test_what_is_not_there_is_an_error_in_the_envelope(
    method: str, path: str, status: int, allow: str | None
) -> None:
    served, _ = fake_served()
    async with serving([served]) as running, fetching(running) as client:
        response = await client.request(method, path)
    assert response.status_code == status
    assert error_of(response)["type"] == "invalid_request_error"
    assert response.headers.get("allow") == allow
    assert response.headers["x-request-id"]
    assert "c=d" not in response.text


@pytest.mark.parametrize("path", ["/livez", "/nope", "/v1/models", "/v1/chat/completions"])
async def test_a_sane_request_id_comes_back_and_another_is_made(path: str) -> None:
    served, _ = fake_served()
    async with serving([served]) as running, fetching(running) as client:
        assert (await client.get(path, headers={"x-request-id": "mine-1"})).headers["x-request-id"] == "mine-1"
        odd = (await client.get(path, headers={"x-request-id": "a b"})).headers["x-request-id"]
        assert odd.startswith("req_")


async def test_the_request_id_reaches_the_coordinator_and_the_body_has_the_last_word() -> None:
    served, fake = fake_served(text_script(["x"]))
    async with serving([served]) as running, fetching(running, x_request_id="from-header") as client:
        first = await client.post("/v1/chat/completions", json=CHAT)
        second = await client.post("/v1/chat/completions", json={**CHAT, "request_id": "from-body", "stream": True})
    assert [first.headers["x-request-id"], second.headers["x-request-id"]] == ["from-header", "from-body"]
    assert [request.request_id for request in fake.submitted] == ["from-header", "from-body"]


async def test_strangers_cannot_choose_the_request_id_when_told_so() -> None:
    served, _ = fake_served()
    settings = GatewaySettings(port=0, access_log=False, trust_request_id=False)
    async with serving([served], settings) as running, fetching(running) as client:
        response = await client.get("/livez", headers={"x-request-id": "mine"})
    assert response.headers["x-request-id"].startswith("req_")


async def test_probes_and_metrics_need_no_key() -> None:
    served, _ = fake_served()
    settings = GatewaySettings(port=0, access_log=False, api_keys=("k",))
    async with serving([served], settings) as running, fetching(running) as client:
        for path in ("/health", "/livez", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200
        for path in ("/v1/models", "/openapi.json", "/nope"):
            response = await client.get(path)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert error_of(response)["code"] == "missing_api_key"


async def test_health_tells_what_is_wrong_and_readiness_follows() -> None:
    first, ready = fake_served((), "a")
    second, down = fake_served((), "b")
    async with serving([first, second]) as running, fetching(running) as client:
        report = (await client.get("/health")).json()
        assert report["status"] == "healthy"
        assert [pipeline["models"] for pipeline in report["pipelines"]] == [["a"], ["b"]]
        assert report["pipelines"][0]["stages"][0] == {
            "name": "compose",
            "replicas": 1,
            "routable": 1,
            "queued": 0,
            "running": 0,
        }
        down.ready = False
        unready = await client.get("/readyz")
        assert unready.status_code == 503
        assert unready.headers["retry-after"] == "1"
        assert error_of(unready)["message"] == "Not ready: b: no replica of compose, synth can take a request."
        report = (await client.get("/health")).json()
        assert report["status"] == "unhealthy"
        assert set(report["error"]) == {"message", "type", "param", "code"}
        assert (await client.get("/livez")).status_code == 200
        await ready.drain(0)
        report = (await client.get("/health")).json()
        assert report["status"] == "draining"
        assert (await client.post("/v1/chat/completions", json={**CHAT, "model": "a"})).status_code == 503


async def test_the_document_is_the_same_in_both_notations_and_names_every_route() -> None:
    served, _ = fake_served()
    async with serving([served]) as running, fetching(running) as client:
        document = (await client.get("/openapi.json")).json()
        assert yaml.safe_load((await client.get("/openapi.yaml")).text) == document
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/audio/speech", "/generate", "/tokenize",
        "/detokenize", "/v1/models", "/v1/models/{model}",
        "/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/openapi.yaml",
    }  # fmt: skip
    chat = document["components"]["schemas"]["ChatCompletionRequest"]
    assert chat["additionalProperties"] is False
    assert {"temperature", "stage_params", "web_search_options"} <= set(chat["properties"])
    assert "HTTPValidationError" not in json.dumps(document)


async def test_cors_is_off_unless_asked_for() -> None:
    served, _ = fake_served(text_script(["x"]))
    ask = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with serving([served]) as running, fetching(running) as client:
        response = await client.post("/v1/chat/completions", json=CHAT, headers={"origin": "https://app.example"})
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert (await client.options("/v1/chat/completions", headers=ask)).status_code == 405
    settings = GatewaySettings(port=0, access_log=False, cors_origins=("https://app.example",), api_keys=("k",))
    async with serving([served], settings) as running, fetching(running, authorization="Bearer k") as client:
        preflight = await client.options("/v1/chat/completions", headers=ask)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, ask["origin"])
        response = await client.post("/v1/chat/completions", json=CHAT, headers={"origin": "https://app.example"})
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-credentials" not in response.headers
        stranger = await client.post("/v1/chat/completions", json=CHAT, headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_an_answer_past_the_general_server_has_the_same_head() -> None:
    served, _ = fake_served(text_script(["x"]))
    async with serving([served]) as running, fetching(running, x_request_id="mine") as client:
        quick = await client.post("/v1/chat/completions", json=CHAT)
        again = await client.post("/v1/chat/completions", json=CHAT)
        last = await client.post("/v1/chat/completions", json=CHAT, headers={"connection": "close"})
    assert last.headers["connection"] == "close", "it goes through the general server"
    names = [name for name in last.headers if name != "connection"]
    assert list(quick.headers) == list(again.headers) == names
    assert quick.headers["x-request-id"] == "mine"
    assert quick.json()["choices"] == last.json()["choices"]


async def test_two_pipelines_share_a_port_and_are_chosen_by_model() -> None:
    first, fake_first = fake_served(text_script(["one"]), "a", "alias")
    second, fake_second = fake_served(text_script(["two"]), "b")
    async with serving([first, second]) as running, running.openai() as client:
        answers = {}
        for model in ("a", "alias", "b"):
            answer = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "x"}])
            answers[model] = (answer.model, answer.choices[0].message.content)
    assert answers == {"a": ("a", "one"), "alias": ("a", "one"), "b": ("b", "two")}
    assert (len(fake_first.submitted), len(fake_second.submitted)) == (2, 1)


async def test_what_happened_is_counted() -> None:
    def script(request: OmniRequest) -> Script:
        if request.value["text"] == "fail":
            return [Piece("text", "x", False, None), RequestError(ErrorKind.DEADLINE, "late")]
        return text_script(["a", "b"])

    served, _ = fake_served(script)
    async with serving([served]) as running, fetching(running) as client:
        await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
        failing = {**CHAT, "stream": True, "messages": [{"role": "user", "content": "fail"}]}
        await client.post("/v1/chat/completions", json=failing)
        await client.post("/v1/chat/completions", json={**CHAT, "model": "nobody"})
        await client.get("/nope")
        exposition = (await client.get("/metrics")).text
        registry = running.registry
    families = {family.name for family in text_string_to_metric_families(exposition)}
    assert {"omnipipe_gateway_requests", "omnipipe_gateway_time_to_first_token_seconds"} <= families

    def requests(model: str, outcome: str, route: str = "/v1/chat/completions") -> float:
        labels = f'model="{model}",outcome="{outcome}",route="{route}"'
        return sample(registry, f"omnipipe_gateway_requests_total{{{labels}}}")

    chat = 'model="echo",route="/v1/chat/completions"'
    assert requests("echo", "ok") == 1
    assert requests("echo", "timeout") == 1
    assert requests("unknown", "client_error") == 1
    assert requests("unknown", "client_error", "other") == 1
    assert sample(registry, f"omnipipe_gateway_in_flight{{{chat}}}") == 0
    assert sample(registry, f"omnipipe_gateway_completion_tokens_total{{{chat}}}") == 2
    assert sample(registry, f"omnipipe_gateway_time_to_first_token_seconds_count{{{chat}}}") == 2
    assert sample(registry, f"omnipipe_gateway_inter_token_seconds_count{{{chat}}}") == 1


async def test_a_bug_is_a_500_that_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    served, fake = fake_served([Piece("text", 7, True, None)])
    async with serving([served]) as running, fetching(running) as client:
        response = await client.post("/v1/chat/completions", json=CHAT)
        assert response.status_code == 500
        assert error_of(response)["message"] == "The server had an error while processing your request."
        fake.health = None  # type: ignore[method-assign,assignment]
        response = await client.get("/health")
        assert response.status_code == 500
        assert error_of(response)["code"] == "internal_error"
    assert "a text output gave int" in caplog.text
