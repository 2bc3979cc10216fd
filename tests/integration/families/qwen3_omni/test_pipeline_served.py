"""The whole pipeline behind its gateway, asked by OpenAI's own client: its answers are those of transformers."""

import base64
import io
import re
import time
import urllib.request
import warnings
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import numpy.typing as npt
import pytest
import torch
from openai import APIError, BadRequestError, OpenAI
from tests.integration.families.omni_parts.media_files import make_clip, make_picture, make_video
from tests.integration.local.served import Served, eventually
from tests.leak_check import LongLived
from transformers import Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

from omnipipe.media.audio import decode_audio
from omnipipe.media.images import decode_image
from omnipipe.media.limits import MediaLimits
from omnipipe.media.video import decode_video

pytestmark = [
    pytest.mark.timeout(400),  # torch and transformers are imported by six processes
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

START_S = 240.0
MANIFEST = """
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: omni}}
spec:
  transport: {{deadAfterSeconds: 10}}  # a busy machine may keep a stage quiet for long
  model: {{family: qwen3_omni, source: "file://{folder}"}}
  stages:
    - {{name: thinker, engine: {{kvBytes: 16777216}}}}
    - {{name: talker, engine: {{kvBytes: 16777216}}}}
"""
LIMITS = MediaLimits()
PICTURE, CLIP, VIDEO, TALKIE = make_picture(), make_clip(), make_video(), make_video(17, 8, sound=True, seed=2)
TOKENS, FRAMES = 14, 24
OUT = "cancelled"
GREEDY: dict[str, Any] = {"talker_do_sample": False, "talker_max_new_tokens": FRAMES}


@pytest.fixture(scope="module")
def served(long_lived: LongLived, omni_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("omni-served")
    manifest = folder / "omni.yaml"
    manifest.write_text(MANIFEST.format(folder=omni_folder))
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "OMP_NUM_THREADS": "1"}
    with (
        long_lived("omnipipe serve, which starts killed stages again"),
        Served(folder, manifest, "--port", "0", env=environment) as served,
    ):
        served.wait_until_ready(START_S)
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client.with_options(max_retries=5, timeout=120)


class Reference:
    """transformers' answer to the same messages."""

    def __init__(self, model: Qwen3OmniMoeForConditionalGeneration, processor: Any) -> None:
        self._model: Any = model
        self._processor = processor
        self._known: dict[str, tuple[str, npt.NDArray[np.float32]]] = {}

    def case(self, name: str) -> "tuple[str, npt.NDArray[np.float32]]":
        if name not in self._known:
            self._known[name] = self(CASES[name])
        return self._known[name]

    def __call__(self, messages: list[dict[str, Any]], *, heard: bool = False) -> "tuple[str, npt.NDArray[np.float32]]":
        given, said = self._read(messages, heard)
        text = self._processor.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        inputs = self._processor(text=text, return_tensors="pt", **given)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            tokens, wave_form = self._model.generate(
                **inputs,
                thinker_max_new_tokens=TOKENS,
                thinker_eos_token_id=self._model.config.im_end_token_id,
                talker_do_sample=False,
                talker_max_new_tokens=FRAMES,
                use_audio_in_video=heard,
            )
        new = tokens[0, inputs["input_ids"].shape[1] :].tolist()
        return self._processor.tokenizer.decode(new, skip_special_tokens=True), wave_form.reshape(-1).numpy()

    def _read(self, messages: list[dict[str, Any]], heard: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        given: dict[str, Any] = {"images": [], "audio": [], "videos": []}
        said = []
        for message in messages:
            content: list[dict[str, Any]] = []
            for part in [message["content"]] if isinstance(message["content"], str) else message["content"]:
                if isinstance(part, str):
                    content.append({"type": "text", "text": part})
                elif part["type"] == "text":
                    content.append(part)
                else:
                    content.append({"type": self._medium(part, given, heard)})
            said.append({"role": message["role"], "content": content})
        given = {kind: pieces for kind, pieces in given.items() if pieces}
        if heard:
            given |= {"load_audio_from_video": True, "audio_from_video_indices": [0]}
        return given, said

    def _medium(self, part: dict[str, Any], given: dict[str, Any], heard: bool) -> str:
        match part["type"]:
            case "image_url":
                given["images"].append(decode_image(_data(part["image_url"]["url"]), LIMITS))
                return "image"
            case "input_audio":
                given["audio"].append(decode_audio(base64.b64decode(part["input_audio"]["data"]), 16_000, LIMITS))
                return "audio"
        hz = 16_000 if heard else None
        data = _data(part["video_url"]["url"])
        video = decode_video(data, LIMITS, fps=2.0, min_frames=4, max_frames=768, with_audio_hz=hz)
        given["videos"].append(torch.from_numpy(video.frames).permute(0, 3, 1, 2))
        given["videos_kwargs"] = {"fps": video.fps, "do_sample_frames": False, "cap_pixels_per_frame": True}
        if heard:
            given["audio"].append(video.audio)
        return "video"


@pytest.fixture(scope="module")
def reference(omni_reference: Qwen3OmniMoeForConditionalGeneration, omni_processor: Qwen3OmniMoeProcessor) -> Reference:
    return Reference(omni_reference, omni_processor)


def _data(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def image(data: bytes = PICTURE) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(data).decode()}"}}


def sound(data: bytes = CLIP) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}


def video(data: bytes = VIDEO) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{base64.b64encode(data).decode()}"}}


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def asks(*content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content[0] if content == (str,) else list(content)}]


CASES: dict[str, list[dict[str, Any]]] = {
    "text": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What do you hear?"}],
    "image": asks(words("What is in the image?"), image()),
    "audio": asks(sound(), words("What do you hear?")),
    "video": asks(video(), words("Describe the video.")),
    "all": [*asks(image(), sound()), {"role": "assistant", "content": "one"}, *asks(words("and"), video())],
}


def chat(client: OpenAI, messages: list[dict[str, Any]], **more: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(model="omni", messages=messages, temperature=0, max_tokens=TOKENS, **more)


def say(client: OpenAI, messages: list[dict[str, Any]]) -> Any:
    voice = {"voice": "ethan", "format": "wav"}
    answer = chat(client, messages, modalities=["text", "audio"], audio=voice, extra_body=GREEDY)
    return answer.choices[0].message.audio


def samples_of(wav: bytes) -> "npt.NDArray[np.float32]":
    with wave.open(io.BytesIO(wav)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (24_000, 1, 2)
        return np.frombuffer(read.readframes(read.getnframes()), "<i2").astype(np.float32) / np.float32(32767)


@pytest.mark.parametrize("name", CASES)
def test_text_and_speech_are_those_of_generate(name: str, client: OpenAI, reference: Reference) -> None:
    text, samples = reference.case(name)
    silent = chat(client, CASES[name]).choices[0].message
    assert silent.content == text
    assert silent.audio is None
    spoken = say(client, CASES[name])
    assert spoken.transcript == text
    heard = samples_of(base64.b64decode(spoken.data))
    assert heard.size == samples.size
    np.testing.assert_allclose(heard, samples, atol=1e-4)


def test_many_at_once_are_each_as_alone(client: OpenAI, reference: Reference) -> None:
    names = [name for name in CASES for _ in range(3)]

    def ask(at: int) -> None:
        text, samples = reference.case(names[at])
        if at % 3 == 0:
            assert chat(client, CASES[names[at]]).choices[0].message.content == text
            return
        spoken = say(client, CASES[names[at]])
        assert spoken.transcript == text
        np.testing.assert_allclose(samples_of(base64.b64decode(spoken.data)), samples, atol=1e-4)

    for name in CASES:
        reference.case(name)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(ask, range(len(names))))


def test_streamed_speech_is_the_speech(client: OpenAI, reference: Reference) -> None:
    text, samples = reference.case("image")
    chunks = chat(
        client,
        CASES["image"],
        modalities=["text", "audio"],
        audio={"voice": "ethan", "format": "pcm16"},
        stream=True,
        extra_body=GREEDY,
    )
    transcript, pcm = "", b""
    pieces = 0
    for chunk in chunks:
        for choice in chunk.choices:
            audio = getattr(choice.delta, "audio", None)
            transcript += getattr(audio, "transcript", None) or ""
            data = base64.b64decode(getattr(audio, "data", None) or "")
            pcm += data
            pieces += bool(data)
    assert transcript == text
    assert pieces > 1
    np.testing.assert_allclose(np.frombuffer(pcm, "<i2") / 32767, samples, atol=1e-4)


def test_sound_of_a_video(client: OpenAI, reference: Reference) -> None:
    messages = asks(video(TALKIE), words("Describe."))
    text, _ = reference(messages, heard=True)
    answer = chat(client, messages, extra_body={"use_audio_in_video": True})
    assert answer.choices[0].message.content == text
    silent = chat(client, asks(video(), words("Describe.")), extra_body={"use_audio_in_video": True})
    assert silent.choices[0].message.content == reference(asks(video(), words("Describe.")))[0]


def test_a_text_is_spoken_as_it_stands(client: OpenAI) -> None:
    made = [
        client.audio.speech.create(
            model="omni", voice=voice, input="One two three.", response_format="wav",
            extra_body={"seed": 1, "max_new_tokens": FRAMES},
        ).content
        for voice in ("ethan", "ethan", "chelsie")
    ]  # fmt: skip
    first, again, other = map(samples_of, made)
    assert first.size
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def samples(served: Served, name: str, *, of_all: bool = False) -> dict[tuple[str, str], float]:
    """Of one metric, by stage and by outcome, where it has one. `of_all`: no stage may be missing."""
    found: dict[tuple[str, str], float] = {}
    for line in eventually(lambda: exposition(served, of_all), "every stage tells its metrics"):
        if line.startswith(name + "{"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            found[labels["stage"], labels.get("outcome", "")] = float(line.rsplit(" ", 1)[1])
    assert found
    return found


def exposition(served: Served, of_all: bool) -> list[str]:
    """The gateway waits a second for each stage. `of_all`: nothing, when one did not answer."""
    with urllib.request.urlopen(served.url.removesuffix("/v1") + "/metrics", timeout=60) as page:
        lines: list[str] = page.read().decode().splitlines()
    silent = [line for line in lines if line.startswith("omnipipe_scrape_up{") and float(line.rsplit(" ", 1)[1]) != 1]
    return [] if of_all and silent else lines


def ended(served: Served, outcome: str) -> dict[str, float]:
    """Requests, by stage."""
    counts = samples(served, "omnipipe_stage_requests_total", of_all=True)
    return {stage: count for (stage, how), count in counts.items() if how == outcome}


def test_text_alone_meets_no_other_stage(served: Served, client: OpenAI) -> None:
    before = ended(served, "done")
    chat(client, CASES["text"])

    def counted() -> dict[str, float]:
        now = ended(served, "done")
        return {stage: count - before[stage] for stage, count in now.items() if count != before[stage]}

    assert eventually(lambda: len(counted()) >= 2 and counted(), "two stages count the request") == {
        "preprocess": 1.0,
        "thinker": 1.0,
    }


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ([image(b"no picture at all")], "messages[0].content[0].image_url.url"),
        ([words("see"), image(PICTURE[:120])], "messages[0].content[1].image_url.url"),
        ([sound(PICTURE)], "messages[0].content[0].input_audio.data"),
    ],
)
def test_bad_media_is_refused_by_name(content: list[Any], param: str, client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        chat(client, asks(*content))
    assert caught.value.param == param


def test_speech_begins_before_the_text_ends_and_who_leaves_frees_all_stages(served: Served, client: OpenAI) -> None:
    before = ended(served, OUT)
    create: Any = client.chat.completions.create
    stream = create(
        model="omni",
        messages=[{"role": "user", "content": "hello"}],  # this model speaks for long about it
        temperature=0,
        max_tokens=2000,
        modalities=["text", "audio"],
        audio={"voice": "ethan", "format": "pcm16"},
        stream=True,
        extra_body={"talker_max_new_tokens": 3000, "talker_do_sample": False, "ignore_eos": True},
    )
    heard = False
    for chunk in stream:
        audio = getattr(chunk.choices[0].delta, "audio", None)
        heard = heard or bool(getattr(audio, "data", None))
        if heard and getattr(audio, "transcript", None):
            break  # there was sound, and then more text
    else:
        raise AssertionError("all of the text came before the first sound")
    stream.close()
    eventually(lambda: ended(served, OUT)["talker"] > before["talker"], "the talker gives up")
    eventually(lambda: not any(samples(served, "omnipipe_stage_running").values()), "all stages at rest")
    eventually(lambda: not any(samples(served, "omnipipe_stage_queued").values()), "nothing waits")
    assert chat(client, CASES["text"]).choices[0].message.content


def all_up(served: Served) -> bool:
    try:
        with urllib.request.urlopen(served.url.removesuffix("/v1") + "/readyz", timeout=60) as page:
            return bool(page.status == 200)
    except HTTPError:
        return False


@pytest.mark.parametrize("stage", ["code2wav", "talker"])
def test_the_text_survives_the_speech(stage: str, served: Served, client: OpenAI, reference: Reference) -> None:
    """A stage that only the sound needs is killed in the middle of it."""
    length: dict[str, Any] = {"max_tokens": 400, "temperature": 0, "model": "omni"}
    messages = [{"role": "user", "content": "hello"}]
    create: Any = client.with_options(max_retries=0).chat.completions.create
    wanted = create(messages=messages, extra_body={"ignore_eos": True}, **length).choices[0].message.content
    voice = {"voice": "ethan", "format": "pcm16"}
    extra = {"talker_max_new_tokens": 3000, "talker_do_sample": False, "ignore_eos": True}
    stream = create(
        messages=messages, modalities=["text", "audio"], audio=voice, stream=True, extra_body=extra, **length
    )
    transcript, heard, at_kill = "", False, -1
    reasons: list[str] = []
    with ThreadPoolExecutor(1) as pool, pytest.raises(APIError) as caught:
        for chunk in stream:
            (choice,) = chunk.choices
            audio = getattr(choice.delta, "audio", None)
            transcript += getattr(audio, "transcript", None) or ""
            heard = heard or bool(getattr(audio, "data", None))
            reasons += [choice.finish_reason] if choice.finish_reason else []
            if heard and at_kill < 0:
                at_kill = len(transcript)
                other = pool.submit(chat, client, CASES["image"])
                served.child("--stage", stage).kill()
    assert transcript == wanted
    assert 0 <= at_kill < len(wanted)
    assert reasons == ["length"]
    assert isinstance(caught.value.body, dict)
    assert "'audio'" in caught.value.body["message"] and stage in caught.value.body["message"]
    assert other.result().choices[0].message.content == reference.case("image")[0]
    eventually(lambda: not any(samples(served, "omnipipe_stage_running").values()), "all stages at rest")
    eventually(lambda: not any(samples(served, "omnipipe_stage_queued").values()), "nothing waits")
    end = time.monotonic() + START_S
    while not all_up(served):
        assert time.monotonic() < end, f"{stage} does not come back:\n{served.out}\n{served.err}"
        time.sleep(0.05)
    assert say(client, CASES["image"]).transcript == reference.case("image")[0]
