"""The SDK, its examples and M*'s own published client against a real `omnipipe serve` of the echo pipeline."""

import json
import os
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.client.both import Asks
from tests.integration.local.served import DEADLINE_S, Served, eventually

from omnipipe.client import (
    AudioChunk,
    BadRequest,
    NotFound,
    OmnipipeClient,
    ServerError,
    TextChunk,
)

EXAMPLES = Path(__file__).parents[3] / "examples"
FETCH_S = 240
"""For 900 kB from a slow index, with pip's own tries."""
PUBLISHED = "mstar-ai==0.2.1 --hash=sha256:597ed239d30d076367bdb046c12cc780465beabba80e6b735506687cb1e15b6b"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served"), EXAMPLES / "echo.yaml", "--port", "0") as served:
        assert served.url
        yield served


@pytest.fixture
def url(served: Served) -> str:
    return served.url


def test_an_answer_and_its_stream_are_the_same(asks: Asks, url: str) -> None:
    said = "żółw, 🐢 and the others"
    whole = asks.whole(url, text=said, output_modalities=["text", "audio"], request_id="mine", voice="alloy")
    assert (whole.text, whole.request_id) == (said, "mine")
    assert whole.audio is not None
    events = asks.events(url, text=said, output_modalities=["text", "audio"], voice="alloy")
    assert "".join(event.text for event in events if isinstance(event, TextChunk)) == said
    sounds = [event for event in events if isinstance(event, AudioChunk)]
    assert len(sounds) > 1
    assert b"".join(event.pcm for event in sounds) == whole.audio.pcm
    assert {(event.sample_rate, event.channels) for event in sounds} == {(24000, 1)}


def test_refusals_name_the_field(asks: Asks, url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        asks.whole(url, text="hi", heat=1)
    assert (caught.value.status, caught.value.param) == (400, "model_kwargs.heat")
    with pytest.raises(NotFound) as missing:
        asks.events(url, text="hi", model="nobody")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    assert missing.value.request_id


def test_a_stage_that_fails_in_the_middle_ends_the_stream_with_its_error(asks: Asks, url: str) -> None:
    failing = {"compose": {"fail": "error", "fail_after": 2}}
    with pytest.raises(ServerError) as caught:
        asks.events(url, text="one two three four", stage_params=failing)
    assert caught.value.status == 500
    assert caught.value.partial is not None
    assert caught.value.partial.text == "one two "


def test_a_client_that_leaves_frees_the_pipeline(served: Served, asks: Asks, url: str) -> None:
    slow = {"compose": {"chunks": 1_000_000, "delay_ms": 5}}
    assert len(asks.events(url, text="hi", stage_params=slow, take=2)) == 2
    health = url.removesuffix("/v1") + "/health"
    eventually(lambda: httpx.get(health).json()["pipelines"][0]["in_flight"] == 0, "no request in flight")


def test_the_server_itself(url: str) -> None:
    with OmnipipeClient(url) as client:
        assert (client.health(), client.ready(), client.models()) == (True, True, ["assistant"])
    with OmnipipeClient("http://127.0.0.1:9") as client:
        assert (client.health(), client.ready()) == (False, False)


def run(url: str, script: str, *args: str | Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "client" / script, *args],
        env={**os.environ, "OMNIPIPE_URL": url},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def example_chat(url: str, _: Path) -> None:
    assert run(url, "chat.py") == [
        "Hello, who is there?", "One |word |after |the |other|", "model_kwargs.temperature is wrong",
    ]  # fmt: skip


def example_speech(url: str, folder: Path) -> None:
    first, second = run(url, "speech.py", folder)
    assert second.startswith("Both at once ")
    with wave.open(str(folder / "morning.wav")) as file:
        assert first == f"{file.getnframes() / file.getframerate():.2f} s at 24000 Hz"
        assert any(file.readframes(file.getnframes()))


def example_many(url: str, _: Path) -> None:
    assert run(url, "many.py") == [
        *(f"Question {number}" for number in range(16)),
        "TextChunk(text='Enough ', metadata={})",
    ]


EXAMPLE_CHECKS: dict[str, Callable[[str, Path], None]] = {
    "chat.py": example_chat,
    "many.py": example_many,
    "speech.py": example_speech,
}


@pytest.mark.parametrize("script", sorted(path.name for path in (EXAMPLES / "client").glob("*.py")))
def test_the_examples_run_as_they_stand(url: str, script: str, tmp_path: Path) -> None:
    EXAMPLE_CHECKS[script](url, tmp_path)


def test_it_is_light_to_import() -> None:
    heavy = {"torch", "numpy", "transformers", "pydantic", "msgspec", "zmq", "fastapi"}
    code = f"import omnipipe.client, sys; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with M*'s published client alone. Its package asks for torch, which its client does not use, and for a
    newer Python, which its client does not need: so it is fetched here and is no requirement of ours."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "wanted.txt").write_text(PUBLISHED)
    fetched = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary=:all:", "--python-version=3.12", "--require-hashes", "--retries=5", "--timeout=20"),
            *("--dest", folder, "-r", folder / "wanted.txt"),
        ],
        capture_output=True,
        text=True,
        timeout=FETCH_S,
    )
    if fetched.returncode:
        pytest.skip(f"the package index has no {PUBLISHED.split()[0]} for us: {fetched.stderr.strip()[-200:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("mstar/client/") or name == "mstar/__init__.py"]
        archive.extractall(folder / "mstar_client", names)
    return folder / "mstar_client"


@pytest.mark.timeout(2 * FETCH_S)
def test_the_published_client_of_mstar_works_unchanged(url: str, published: Path) -> None:
    script = Path(__file__).with_name("published_client.py")
    root = url.removesuffix("/v1")
    env = {**os.environ, "PYTHONPATH": str(published)}
    done = subprocess.run([sys.executable, script, root], env=env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    with OmnipipeClient(url) as client:
        spoken = client.tts("hi there", voice="alloy")
        both = client.chat("hello there world", output_modalities="text,audio", max_output_tokens=2)
        sound = client.generate(text="eine Schildkröte 龟", output_modalities="audio").sound()
    assert got == {
        "health": True,
        "text": "hello there",
        "request_id": "mine",
        "spoken": [len(spoken), 24000],
        "both": [both.text, len(both.sound())],
        "streamed": "eine Schildkröte 龟",
        "sound": [len(sound), [24000]],
        "refused": 400,
        "unknown": 400,
        "down": False,
    }
