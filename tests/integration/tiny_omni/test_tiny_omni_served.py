"""builtin://tiny-omni served: it sees, hears and counts what a client sends, and its speech is read back."""

import base64
import io
import random
import wave
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
import pytest
from openai import OpenAI
from tests.integration.local.served import Served
from tools.tiny_omni.pictures import Pixels
from tools.tiny_omni.questions import HEARS_HZ, Question, questions
from tools.tiny_omni.tones import RATE_HZ, VOICES, Wave, decode, spoken, synthesize

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by six processes

START_S = 240.0
MANIFEST = """
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {name: tiny-omni}
spec:
  transport: {deadAfterSeconds: 10}  # a busy machine may keep a stage quiet for long
  model: {family: qwen3_omni, source: "builtin://tiny-omni"}
  stages:
    - {name: thinker, engine: {kvBytes: 16777216}}
    - {name: talker, engine: {kvBytes: 16777216}}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tiny-omni-served")
    manifest = folder / "tiny-omni.yaml"
    manifest.write_text(MANIFEST)
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "OMP_NUM_THREADS": "1"}
    with Served(folder, manifest, "--port", "0", env=environment) as served:
        served.wait_until_ready(START_S)
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client.with_options(max_retries=5, timeout=120)


def first(task: str) -> Question:
    return next(islice(questions(random.Random(12), task, held=True), 1))


def ask(client: OpenAI, question: Question, rate_hz: int = HEARS_HZ, **more: Any) -> Any:
    parts: list[Any] = [{"type": "text", "text": question.text}]
    if question.image is not None:
        file = io.BytesIO()
        question.image.save(file, "PNG")
        parts.insert(0, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_text(file.getvalue())}"}})
    if question.audio is not None:
        clip = _wav(question.audio, rate_hz)
        parts.insert(0, {"type": "input_audio", "input_audio": {"data": _text(clip), "format": "wav"}})
    if question.video is not None:
        url = f"data:video/mp4;base64,{_text(_mp4(question.video))}"
        parts.insert(0, {"type": "video_url", "video_url": {"url": url}})
    create: Any = client.chat.completions.create
    messages = [{"role": "user", "content": parts}]
    return create(model="tiny-omni", messages=messages, temperature=0, **more).choices[0].message


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _wav(samples: Wave, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate_hz)
        written.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def _mp4(frames: Pixels, fps: int = 2) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        shown = container.add_stream("mpeg4", rate=fps)
        shown.height, shown.width, shown.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, fps)
            container.mux(shown.encode(picture))
        container.mux(shown.encode(None))
    return file.getvalue()


def _samples(wav: bytes) -> Wave:
    with wave.open(io.BytesIO(wav)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (RATE_HZ, 1, 2)
        return np.frombuffer(read.readframes(read.getnframes()), "<i2").astype(np.float32) / np.float32(32767)


@pytest.mark.parametrize("task", ["picture", "digits", "flashes", "chat"])
def test_media_are_answered_in_text(client: OpenAI, task: str) -> None:
    assert ask(client, first(task)).content == first(task).answer


def test_a_small_video_need_not_be_made_large(client: OpenAI) -> None:
    question = first("flashes")
    assert ask(client, question, extra_body={"video_max_pixels": 1024}).content == question.answer


@pytest.mark.parametrize("voice", VOICES)
def test_a_picture_is_answered_in_speech(client: OpenAI, voice: str) -> None:
    audio = {"voice": voice, "format": "wav"}
    said = ask(client, first("picture"), modalities=["text", "audio"], audio=audio).audio
    assert said.transcript == first("picture").answer
    assert decode(_samples(base64.b64decode(said.data))) == spoken(said.transcript)


def test_text_is_read_aloud_and_understood_again(client: OpenAI) -> None:
    text = "4072"
    speech = client.audio.speech.create(model="tiny-omni", voice="ethan", input=text, response_format="wav")
    samples = _samples(speech.content)
    assert decode(samples) == decode(synthesize(text)) == text
    heard = Question("digits", "", "What do you hear?", text, audio=samples)
    assert ask(client, heard, rate_hz=RATE_HZ).content == text
