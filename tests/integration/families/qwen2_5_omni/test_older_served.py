"""The pipeline as a client meets it: `omnipipe serve`, and OpenAI's own client talking with it."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import BadRequestError, OpenAI
from tests.integration.families.omni_parts.media_files import make_clip, make_picture
from tests.integration.local.served import Served

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by processes of their own

START_S = 240.0
SAID: dict[str, Any] = {"temperature": 0, "max_tokens": 12, "seed": 3}
SPOKEN: dict[str, Any] = {
    "modalities": ["text", "audio"],
    "audio": {"voice": "Ethan", "format": "pcm16"},
    "extra_body": {"talker_do_sample": False, "talker_max_new_tokens": 40},
}


@pytest.fixture(scope="module")
def served(older_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served-older")
    manifest = folder / "older.yaml"
    manifest.write_text(f"""
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: older}}
spec:
  transport: {{deadAfterSeconds: 10}}  # a busy machine may keep a stage quiet for long
  model: {{family: qwen2_5_omni, source: "file://{older_folder}"}}
  stages:
    - {{name: thinker, engine: {{kvBytes: 8388608}}}}
    - {{name: talker, engine: {{kvBytes: 8388608}}}}
""")
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}  # torch makes it whether it compiles or not
    with Served(folder, manifest, "--port", "0", env=cache) as served:
        served.wait_until_ready(START_S)
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client


def content() -> list[Any]:
    picture, clip = (base64.b64encode(data).decode() for data in (make_picture(), make_clip()))
    return [
        {"type": "text", "text": "What is in the image?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        {"type": "input_audio", "input_audio": {"data": clip, "format": "wav"}},
    ]


def ask(client: OpenAI, said: Any, **more: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(model="older", messages=[{"role": "user", "content": said}], **{**SAID, **more})


def heard_of(audio: Any) -> str:
    return audio.transcript or ""


def test_text_and_sound_come_whole_and_in_a_stream(client: OpenAI) -> None:
    plain = ask(client, content()).choices[0].message
    whole = ask(client, content(), **SPOKEN).choices[0].message
    assert whole.audio.transcript == plain.content
    sound = base64.b64decode(whole.audio.data)
    assert len(sound) == 2 * 480 * 40, "forty codes"
    assert np.frombuffer(sound, "<i2").any()
    deltas = [chunk.choices[0].delta for chunk in ask(client, content(), stream=True, **SPOKEN) if chunk.choices]
    heard = [delta.audio for delta in deltas if getattr(delta, "audio", None)]
    assert "".join(map(heard_of, heard)) == plain.content
    assert b"".join(base64.b64decode(audio.data) for audio in heard if audio.data) == sound


def test_a_text_is_read_aloud(client: OpenAI) -> None:
    def speak(voice: str, **more: Any) -> bytes:
        made = client.audio.speech.create(
            model="older", input="one two three", voice=voice, response_format="pcm",
            extra_body={"temperature": 0, "seed": 4, "max_new_tokens": 30, **more},
        )  # fmt: skip
        return made.read()

    first = speak("chelsie")
    assert first and speak("Chelsie") == first
    assert speak("ethan") != first
    assert speak("chelsie", seed=5) != first, "the noise that the sound is made of"


def test_what_it_cannot_do_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as wrong:
        ask(client, "hello", modalities=["text", "audio"], audio={"voice": "aiden", "format": "pcm16"})
    assert wrong.value.param == "audio.voice" and "chelsie, ethan" in wrong.value.message
    with pytest.raises(BadRequestError) as stage:
        ask(client, "hello", extra_body={"stage_params": {"code2wav": {"x": 1}}})
    assert "token2wav" in stage.value.message
