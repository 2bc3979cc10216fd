"""The pipeline as a client meets it: `omnipipe serve`, and OpenAI's own client asking for speech."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from openai import BadRequestError, OpenAI
from tests.integration.families.orpheus.tiny import save_codec, save_model
from tests.integration.local.served import Served
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from omnipipe.families.orpheus.frames import Frames
from omnipipe.families.orpheus.snac import load_decoder

pytestmark = pytest.mark.timeout(400)  # torch and transformers are imported by processes of their own

START_S = 240.0
TOKENS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("orpheus")


@pytest.fixture(scope="module")
def model(folder: Path) -> LlamaForCausalLM:
    return save_model(folder / "model")


@pytest.fixture(scope="module")
def served(folder: Path, model: LlamaForCausalLM) -> Iterator[Served]:
    save_codec(folder / "snac")
    manifest = folder / "speech.yaml"
    manifest.write_text(f"""
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: speech}}
spec:
  transport: {{deadAfterSeconds: 10}}  # a busy machine may keep a stage quiet for long
  model: {{family: orpheus, source: "file://{folder}/model"}}
  stages:
    - name: vocoder
      params: {{codec: "file://{folder}/snac"}}
""")
    cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}  # torch makes it whether it compiles or not
    with Served(folder, manifest, "--port", "0", env=cache) as served:
        served.wait_until_ready(START_S)
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client.with_options(max_retries=5)


def expected(folder: Path, model: LlamaForCausalLM, text: str, voice: str, seed: int) -> Any:
    """What transformers' own generate says, as the codec makes it sound."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    mark: list[Any] = [tokenizer.convert_tokens_to_ids(f"<custom_token_{number}>") for number in range(11)]
    end_of_turn = tokenizer.convert_tokens_to_ids("<|eot_id|>")
    said = tokenizer(f"{voice}: {text}").input_ids
    prompt = torch.tensor([[mark[3], *said, end_of_turn, mark[4], mark[5], mark[1]]])
    with torch.no_grad():
        speaking: Any = model  # the types of its generate are for other models
        out = speaking.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=TOKENS,
            repetition_penalty=1.3, eos_token_id=mark[2], pad_token_id=mark[2],
        )  # fmt: skip
    frames = Frames(mark[10]).push(out[0, prompt.shape[1] :].tolist())
    decoder = load_decoder(folder / "snac", torch.device("cpu"))
    with torch.inference_mode():
        return (decoder(torch.tensor([frames]), [0], [seed])[0] * 32767).numpy(), len(frames)


def ask(client: OpenAI, text: str, voice: str = "leo", **more: Any) -> bytes:
    body = {"temperature": 0, "seed": 9, "max_new_tokens": TOKENS, **more}
    spoken = client.audio.speech.create(model="speech", input=text, voice=voice, response_format="pcm", extra_body=body)
    return spoken.read()


def test_speech_is_that_of_the_model_and_the_codec(client: OpenAI, folder: Path, model: LlamaForCausalLM) -> None:
    wanted, frames = expected(folder, model, "hello there", "leo", 9)
    assert frames >= 3, "the model says something"
    heard = np.frombuffer(ask(client, "hello there"), "<i2")
    assert heard.shape == wanted.shape
    assert np.abs(heard - wanted).max() <= 1.0


def test_voices_and_seeds_make_a_difference_and_nothing_else_does(client: OpenAI) -> None:
    first = ask(client, "hello there")
    assert ask(client, "hello there") == first
    assert ask(client, "hello there", "zoe") != first
    assert ask(client, "hello there", seed=10) != first, "the codec's noise"


def test_sound_streams_and_says_what_it_cost(client: OpenAI) -> None:
    whole = ask(client, "how are you today")
    with client.audio.speech.with_streaming_response.create(
        model="speech", input="how are you today", voice="leo", response_format="pcm",
        extra_body={"temperature": 0, "seed": 9, "max_new_tokens": TOKENS}, stream_format="sse",
    ) as events:  # fmt: skip
        seen = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: {")]
    assert len(seen) > 2
    assert seen[-1]["type"] == "speech.audio.done"
    assert seen[-1]["usage"]["output_tokens"] == TOKENS
    assert whole


def test_what_it_cannot_do_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as wrong_voice:
        ask(client, "hello", "alloy")
    assert wrong_voice.value.param == "voice"
    with pytest.raises(BadRequestError) as chat:
        client.chat.completions.create(model="speech", messages=[{"role": "user", "content": "hello"}])
    assert "speech" in chat.value.message
