"""The whole pipeline under 64 requests at a time, of all kinds, and the sound that it gives in every format."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from bench.omni_soak import AT_ONCE, soak
from bench.omni_soak_cases import RATE_HZ, ask, body
from tests.integration.gateway.spoken import seconds_of
from tests.integration.local.served import Served

pytestmark = [
    pytest.mark.timeout(400),  # torch and transformers are imported by six processes
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

START_S: Final = 240.0
LIMIT_S: Final = 120.0
"""For all that is asked at once, on a machine that does other things as well."""
MANIFEST: Final = """
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: omni}}
spec:
  model: {{family: qwen3_omni, source: "file://{folder}"}}
  stages:
    - {{name: thinker, engine: {{kvBytes: 16777216}}}}
    - {{name: talker, engine: {{kvBytes: 16777216}}}}
  transport: {{deadAfterSeconds: 10}}  # a busy machine may keep a stage quiet for long
"""
REQUESTS: Final = 192
"""`python -m bench.omni_soak` has no end of them for minutes."""


@pytest.fixture(scope="module")
def served(omni_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("omni-soak")
    manifest = folder / "omni.yaml"
    manifest.write_text(MANIFEST.format(folder=omni_folder))
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "OMP_NUM_THREADS": "1"}
    with Served(folder, manifest, "--port", "0", env=environment) as served:
        served.wait_until_ready(START_S)
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=2 * AT_ONCE)
    async with httpx.AsyncClient(base_url=f"{served.url}/", timeout=LIMIT_S, limits=limits) as client:
        yield client


async def test_each_of_many_gets_the_answer_that_it_gets_alone(served: Served) -> None:
    report = await soak(served.url, requests=REQUESTS)
    assert served.process.poll() is None
    assert not report.problems
    assert report.answers + report.left == REQUESTS
    assert report.left


FORMATS: Final = {"wav": 0.0, "pcm16": 0.0, "flac": 0.0, "mp3": 0.15, "opus": 0.1, "aac": 0.15}
"""Format -> seconds that its frames may add or cut at the ends."""


async def test_every_format_is_as_long_as_what_was_said(client: httpx.AsyncClient) -> None:
    spoken = body(1) | {"stream": False, "talker_max_new_tokens": 40, "max_tokens": 20}
    spoken["messages"] = [{"role": "user", "content": "hello"}]  # this model speaks for long about it
    read = {"model": "omni", "input": "One two three.", "voice": "ethan", "seed": 1, "max_new_tokens": 40}
    _, pcm = await ask(client, spoken)
    raw = (await client.post("audio/speech", json=read | {"response_format": "pcm"})).content
    assert len(pcm) > RATE_HZ
    assert len(raw) > RATE_HZ
    for name, slack in FORMATS.items():
        _, chatted = await ask(client, spoken | {"audio": {"voice": "ethan", "format": name}})
        answer = await client.post("audio/speech", json=read | {"response_format": name.removesuffix("16")})
        assert answer.status_code == 200, answer.text
        for sound, samples in ((chatted, pcm), (answer.content, raw)):
            seconds = len(sound) / 2 / RATE_HZ if name == "pcm16" else seconds_of(sound)
            assert seconds == pytest.approx(len(samples) / 2 / RATE_HZ, abs=slack + 1e-6), name
